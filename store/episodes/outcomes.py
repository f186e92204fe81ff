"""How a message turned out, and what follows for the episodes that had to do with it."""

import math
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Final, Literal

import msgspec

from ..errors import InvalidEpisode
from .episode import NAME_MOST

WHY_MOST: Final = 1000
"""Characters."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of how a message turned out."""

    message: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MOST)]
    good: bool
    why: Annotated[str, msgspec.Meta(max_length=WHY_MOST)] = ""
    said_by: Annotated[str, msgspec.Meta(max_length=NAME_MOST)] = ""
    trust: Literal[0, 1, 2] = 1


_decoder: Final = msgspec.json.Decoder(Outcome)


def checked(outcome: Outcome) -> Outcome:
    """Return the outcome if all of it is legal; raise InvalidEpisode."""
    try:
        return _decoder.decode(msgspec.json.encode(outcome))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidEpisode(f"this is no outcome: {error}") from error


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """How many episodes an outcome concerns."""

    remembered: int = 0
    """In that message, or with it as evidence."""
    recalled: int = 0
    """For it."""

    def __add__(self, other: "Touched") -> "Touched":
        return Touched(remembered=self.remembered + other.remembered, recalled=self.recalled + other.recalled)


def said(conn: sqlite3.Connection, outcome: Outcome, now: float) -> Touched:
    """Take an outcome in. The same from the same again changes nothing; who changes their mind is counted anew."""
    if outcome.trust < _highest(conn, outcome.message):
        return Touched()  # who is trusted more has spoken
    with recounted(conn, outcome.message):
        conn.execute(
            "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)",
            (outcome.message, outcome.said_by, outcome.good, outcome.why, outcome.trust, _after(conn, outcome, now)),
        )
    made, recalled = _made(conn, outcome.message), _recalled(conn, outcome.message)
    _judge(conn, made, outcome)
    if outcome.why:
        sql = (
            "UPDATE episodes SET why = ? WHERE number = ? AND trust <= ? AND worked IS NULL"  # else it is the verdict's
        )
        conn.executemany(sql, [(outcome.why, each, outcome.trust) for each in recalled])
    return Touched(remembered=len(made), recalled=len(recalled))


def _highest(conn: sqlite3.Connection, message: str) -> int:
    """Return the trust of who is trusted most of those that have spoken of a message; -1 if nobody has."""
    sql = "SELECT coalesce(max(trust), -1) FROM outcomes WHERE message = ?"
    return int(conn.execute(sql, (message,)).fetchone()[0])


def _after(conn: sqlite3.Connection, outcome: Outcome, now: float) -> float:
    """Return a time after all that was said of the message, also where the clock stands still: the last word counts."""
    sql = "SELECT coalesce(max(at), 0.0) FROM outcomes WHERE message = ?"
    return max(now, math.nextafter(conn.execute(sql, (outcome.message,)).fetchone()[0], math.inf))


@contextmanager
def recounted(conn: sqlite3.Connection, message: str) -> Generator[None]:
    """Count what was recalled for a message anew, after a change of it or of what was said."""
    _count_all(conn, message, by=-1)
    yield
    _count_all(conn, message, by=1)


def _count_all(conn: sqlite3.Connection, message: str, *, by: int) -> None:
    sql = "SELECT good, count(*) FROM outcomes WHERE message = ? GROUP BY good"
    for good, times in conn.execute(sql, (message,)).fetchall():
        _count(conn, _recalled(conn, message), good=bool(good), by=by * times)


def apply_earlier(conn: sqlite3.Connection, message: str, number: int) -> None:
    """Let an episode know what was said of its message before it was remembered."""
    sql = "SELECT message, good, why, said_by, trust FROM outcomes WHERE message = ? ORDER BY at"
    for message, good, why, said_by, trust in conn.execute(sql, (message,)).fetchall():  # noqa: B020 - the same
        _judge(conn, [number], Outcome(message=message, good=bool(good), why=why, said_by=said_by, trust=trust))


def _judge(conn: sqlite3.Connection, numbers: list[int], outcome: Outcome) -> None:
    """Say whether it worked. Who is not trusted does so only where nobody knew, and only that it did not.

    The words of who is trusted less than an episode are not put into it.
    """
    sql = (
        "UPDATE episodes SET worked = ?1, why = CASE WHEN trust <= ?3 THEN ?2 ELSE why END "
        "WHERE number = ?4 AND (?3 > 0 OR (worked IS NULL AND NOT ?1))"
    )
    conn.executemany(sql, [(outcome.good, outcome.why, outcome.trust, number) for number in numbers])


def _count(conn: sqlite3.Connection, numbers: list[int], *, good: bool, by: int) -> None:
    column = "helped" if good else "harmed"
    sql = f"UPDATE episodes SET {column} = max(0, {column} + ?) WHERE number = ?"  # noqa: S608 - one of two words
    conn.executemany(sql, [(by, number) for number in numbers])


def _made(conn: sqlite3.Connection, message: str) -> list[int]:
    """Return what was remembered in a message, or rests on it; an episode's own id stands for the episode."""
    sql = "SELECT episode FROM made WHERE message = ?1 UNION SELECT number FROM episodes WHERE id = ?1"
    return [int(number) for (number,) in conn.execute(sql, (message,))]


def _recalled(conn: sqlite3.Connection, message: str) -> list[int]:
    """Return what was recalled for a message: what was used, where the actor said so, else all of it."""
    rows = conn.execute("SELECT episode, used FROM recalls WHERE message = ?", (message,)).fetchall()
    used = [int(number) for number, was_used in rows if was_used]
    return used or [int(number) for number, _ in rows]
