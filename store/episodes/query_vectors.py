"""The vectors of recent queries, so that the same question does not cost a model twice."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import anyio

from callboard.errors import CallboardError

from . import vectors

if TYPE_CHECKING:
    from .embedder import Embedder, Vectors

KEPT: Final = 256
EMBED_WITHIN: Final = 2.0
"""Seconds for a model to give one; a recall that gets none goes by words."""


class QueryVectors:
    """Of one memory. What is being made while :meth:`forget` is called is not kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Vectors] = OrderedDict()
        self._forgets = 0

    async def of(self, text: str, embedder: "Embedder") -> "Vectors | None":
        """Return the vector of a query; None where its embedder is away, or knows no word of it."""
        key = f"{embedder.id}\0{text}"
        if (known := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return known
        forgets = self._forgets
        try:
            with anyio.fail_after(EMBED_WITHIN):
                [vector] = await vectors.made_by(embedder, [text])
        except (CallboardError, TimeoutError):
            return None  # by words, and the recollection says so
        if not vector.any():
            return None
        if forgets == self._forgets:
            self._keep(key, vector)
        return vector  # type: ignore[no-any-return]  # untyped

    def _keep(self, key: str, vector: "Vectors") -> None:
        self._kept[key] = vector
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """Keep none of those so far."""
        self._forgets += 1
        self._kept.clear()
