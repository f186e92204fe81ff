"""Typed answers: what a model is told of the type, and what is accepted from it.

Nothing is guessed and nothing mended here: an answer fits, or the model is told once, in words, where it does not.
"""

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from callboard.errors import CallerError
from callboard.printable import printable

from .request import AnswerForm, Request, Turn
from .schema import closed

RAW_MOST: Final = 4_000
"""Characters of a wrong answer that the model is shown again."""
_REASON_MOST: Final = 400
_FENCE: Final = ("```json", "```")
_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError, CallerError)
"""On bad answers msgspec raises its own errors, RecursionError on deep ones, UnicodeError on half characters; and a
``__post_init__`` may make a name or an amount, which has an error of ours."""


class UnfitType(CallerError):
    """No JSON schema can be made of the type, so that no model can be asked for it."""


class Misfit(ValueError):
    """An answer does not fit its type: ``path`` says where, such as ``$.items[2]``, and ``reason`` why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"at {path}: {reason}")
        self.path, self.reason = path, reason


class _Plan(msgspec.Struct, frozen=True):
    form: AnswerForm
    decoder: "msgspec.json.Decoder[Any]"
    wrapped: bool
    """Whether the answer is an object around the value, as endpoints only take objects."""


def form_of(kind: Any) -> AnswerForm:
    """Return what an endpoint is told of a type; one that is no object stands as ``answer`` in one.

    Fields with a default are asked for as well, since strict endpoints know no others. A dict has open keys: strict
    endpoints refuse it, and a list of structs says the same. Raises UnfitType.
    """
    return _plan(kind).form


def read_answer(kind: Any, text: str) -> Any:
    """Return the value in a model's answer: JSON alone, or in one fence of ``json``. Raises Misfit, UnfitType."""
    plan = _plan(kind)
    try:
        value = plan.decoder.decode(_bare(text))
    except _ERRORS as error:
        raise _misfit(str(error) or type(error).__name__) from error
    return value.answer if plan.wrapped else value


def repair(request: Request, raw: str, misfit: Misfit) -> Request:
    """Return the request that says what is wrong with the answer `raw`, and asks once more."""
    said = printable(raw)[:RAW_MOST] or "(nothing)"  # an empty turn is refused by some endpoints
    again = "with nothing but the whole JSON, in the form that was asked for" if request.form else "whole"
    wish = f"That does not fit. At {misfit.path}: {misfit.reason}. Answer again, {again}."
    turns = (*request.turns, Turn(role="assistant", content=said), Turn(role="user", content=wish))
    return msgspec.structs.replace(request, turns=turns)


def _plan(kind: Any) -> _Plan:
    return _planned(kind) if _has_hash(kind) else _make(kind)


def _has_hash(kind: Any) -> bool:
    """Annotations of a type may hold what has no hash, deep inside."""
    try:
        hash(kind)
    except TypeError:
        return False
    return True


def _make(kind: Any) -> _Plan:
    try:
        schema = closed(msgspec.json.schema(kind))
        wrapped = "properties" not in schema
        if wrapped:
            kind = msgspec.defstruct("Answer", [("answer", kind)], frozen=True, forbid_unknown_fields=True)
            schema = closed(msgspec.json.schema(kind))
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
    except (TypeError, NameError, RecursionError) as error:
        raise UnfitType(f"a model cannot be asked for {kind!r:.100}: {str(error)[:300]}") from error
    return _Plan(AnswerForm(name=_name_of(kind), schema=schema), decoder, wrapped)


_planned = lru_cache(maxsize=1_024)(_make)


def _name_of(kind: Any) -> str:
    """Return what an endpoint may call the type: it takes few letters, and 64 of them."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", getattr(kind, "__name__", "Answer"))[:64]


def _bare(text: str) -> str:
    text = text.strip()
    begin, end = _FENCE
    if text.startswith(begin) and text.endswith(end) and len(text) >= len(begin + end):
        return text[len(begin) : -len(end)]
    return text


def _misfit(text: str) -> Misfit:
    what, marker, path = text.rpartition(" - at `")
    reason = "".join(letter if letter.isprintable() else " " for letter in printable(what if marker else text))
    return Misfit(path.rstrip("`") if marker else "$", reason[:_REASON_MOST])
