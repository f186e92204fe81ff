"""Who was asked: what each error about a model says of it."""

from typing import Literal, TypeVar

from callboard.errors import CallboardError

from .said import said

E = TypeVar("E", bound=CallboardError)
Cost = Literal["nothing", "unknown"]
"""``nothing``: refused before it was worked on. ``unknown``: it may have been, and then it costs."""


class Where:
    """A model at an endpoint. No struct: those show all their fields, and this one knows the key, to keep it out."""

    def __init__(self, endpoint: str, host: str, *, model: str, key: str) -> None:
        self._endpoint, self._host, self._model, self._key = endpoint, host, model, key

    def error(self, kind: type[E], what: str, *, cost: Cost, **detail: float) -> E:
        """Return an error of `kind` that says `what` the endpoint did."""
        text = f"the model {self._model} at {self._endpoint} ({self._host}) {what}"
        return kind(text, endpoint=self._endpoint, model=self._model, cost=cost, **detail)

    def name(self, words: str) -> str:
        """Return a name that the endpoint gives, fit to be written down."""
        return said(words, key=self._key)

    def said(self, words: str) -> str:
        """Return the endpoint's words as the end of a sentence; empty if it said nothing."""
        found = said(words, key=self._key)
        return f": {found}" if found else ""
