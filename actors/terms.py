"""The terms of one grant: for which name, with which values, until when. Pure.

Written as text, since grants stand in fleet files: ``refund(amount <= 50, currency in [eur, usd]) until 2026-12-31``.
Clauses are about the fields of the message, or the arguments of the act, by name. Each must hold, and one about what is
not there does not: who leaves a field out, or sends another kind of value, gets nothing.
"""

import inspect
import math
import operator
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from callboard.bus import ANYONE
from callboard.names import checked

from .errors import BadGrant
from .message import Json

TERM_MOST: Final = 1000
"""Characters of a term: a grant is read by people."""
Value = int | float | str
Kind = Literal["actor", "topic"]

_TERM: Final = re.compile(r"([^\s(]+)(?:\s*\((.*)\))?(?:\s+until\s+(\S+))?", re.DOTALL)
_CLAUSE: Final = re.compile(
    r"""\s*([A-Za-z_]\w*)\s*(<=|>=|==|!=|<|>|\bin\b)\s*("[^"\\]*"|'[^'\\]*'|\[[^\[\]]*\]|[^\s,()\[\]"'<>=!]+)\s*(,|$)"""
)
_ITEM: Final = re.compile(r"""\s*("[^"\\]*"|'[^'\\]*'|[^\s,()\[\]"'<>=!]+)\s*(,|$)""")
_DIGITS_MOST: Final = 18
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Clause(msgspec.Struct, frozen=True):
    """What one field must be."""

    field: str
    verb: str
    wanted: tuple[Value, ...]
    """One value; of ``in`` any number."""

    def holds(self, found: object) -> bool:
        """Return whether a value is as wanted: a number is compared with numbers only, a text with texts."""
        if self.verb in _ORDERED:
            return _is_number(found) and _is_number(self.wanted[0]) and _ORDERED[self.verb](found, self.wanted[0])
        if not (_is_number(found) or isinstance(found, str)):
            return False
        same = any(type(found) is type(each) or (_is_number(found) and _is_number(each)) for each in self.wanted)
        return (found not in self.wanted and same) if self.verb == "!=" else found in self.wanted

    def __str__(self) -> str:
        """Return it as it is written."""
        shown = [str(each) if _is_number(each) else f'"{each}"' for each in self.wanted]
        wanted = f"[{', '.join(shown)}]" if self.verb == "in" else shown[0]
        return f"{self.field} {self.verb} {wanted}"


class Term(msgspec.Struct, frozen=True):
    """One entry of a grant."""

    name: str
    clauses: tuple[Clause, ...] = ()
    until: float | None = None
    """Unix seconds."""

    def objection(self, given: Mapping[str, object], *, now: float) -> str:
        """Return why it does not allow this now; empty if it does."""
        if self.until is not None and now >= self.until:
            return f"it ended at {datetime.fromtimestamp(self.until, UTC):%Y-%m-%d %H:%M} UTC"
        for clause in self.clauses:
            if clause.field not in given:
                return f"it asks for {clause}, and there is no {clause.field}"
            if not clause.holds(given[clause.field]):
                return f"it asks for {clause}, not {given[clause.field]!r:.80}"
        return ""

    def is_within(self, other: "Term") -> bool:
        """Return whether this allows nothing that `other` does not."""
        sooner = other.until is None or (self.until is not None and self.until <= other.until)
        return other.name in (self.name, ANYONE) and set(other.clauses) <= set(self.clauses) and sooner


class Call(NamedTuple):
    """What an act would call."""

    fn: Callable[..., Awaitable[Any]]
    args: Sequence[Any]


def fields_of(given: object) -> Mapping[str, object]:
    """Return what clauses can be about: the fields of a message, or the arguments of a call."""
    if isinstance(given, Call):
        try:
            return inspect.signature(given.fn, follow_wrapped=False).bind(*given.args).arguments
        except (TypeError, ValueError):
            return {}  # a call that would fail, or of which nothing is known
    if isinstance(given, msgspec.Struct) and not isinstance(given, Json):  # what a text means, only its receiver knows
        return {name: getattr(given, name) for name in given.__struct_fields__}
    return {}


@lru_cache(maxsize=4096)
def parse_term(text: str, kind: Kind = "actor") -> Term:
    """Read one entry of a grant; raise :class:`BadGrant`, InvalidName."""
    found = _TERM.fullmatch(text) if len(text) <= TERM_MOST else None
    if found is None and not any(mark in text for mark in " ("):
        checked(text, kind)  # a name alone, and none
    if found is None:
        raise BadGrant(f"{text[:120]!r} is no grant: write NAME, NAME(FIELD <= VALUE, …) or NAME until 2026-12-31")
    name, clauses, until = found.groups()
    return Term(
        name if name == ANYONE else checked(name, kind),
        _clauses(clauses, text) if clauses is not None else (),
        _moment(until, text) if until is not None else None,
    )


def _clauses(text: str, whole: str) -> tuple[Clause, ...]:
    found, at = list[Clause](), 0
    while at < len(text) or not found:
        match = _CLAUSE.match(text, at)
        if match is None or (match[4] == "," and match.end() == len(text)):
            raise BadGrant(f"{whole[:120]!r}: {text[at:][:60]!r} is no clause: FIELD, one of < <= > >= == != in, VALUE")
        found.append(_clause(match[1], match[2], match[3], whole))
        at = match.end()
    return tuple(found)


def _clause(field: str, verb: str, value: str, whole: str) -> Clause:
    if (verb == "in") != value.startswith("["):
        raise BadGrant(f"{whole[:120]!r}: 'in' takes a list as [a, b], and nothing else does")
    wanted = _items(value[1:-1], whole) if verb == "in" else (_value(value),)
    if verb in _ORDERED and not _is_number(wanted[0]):
        raise BadGrant(f"{whole[:120]!r}: {field} {verb} {value}: only numbers are more or less than another")
    return Clause(field, verb, wanted)


def _items(text: str, whole: str) -> tuple[Value, ...]:
    found, at = list[Value](), 0
    while at < len(text) or not found:
        match = _ITEM.match(text, at)
        if match is None or (match[2] == "," and match.end() == len(text)):
            raise BadGrant(f"{whole[:120]!r}: {text[:60]!r} is no list of values: [a, b] or [1, 2]")
        found.append(_value(match[1]))
        at = match.end()
    return tuple(found)


def _value(text: str) -> Value:
    if text[0] in "\"'":
        return text[1:-1]
    if len(text) <= _DIGITS_MOST and _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def _moment(text: str, whole: str) -> float:
    """Return the end of a day, or a moment with its zone, in Unix seconds."""
    try:
        if len(text) == len("2026-12-31"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC).timestamp()
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise BadGrant(f"{whole[:120]!r}: {text} names no zone: write 2026-12-31T12:00Z")
        return found.timestamp()
    except (ValueError, OverflowError) as error:
        raise BadGrant(f"{whole[:120]!r}: {text} is no date: write 2026-12-31 or 2026-12-31T12:00Z") from error


def _is_number(value: object) -> bool:
    """Return whether it can be compared: nothing is more or less than NaN."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
