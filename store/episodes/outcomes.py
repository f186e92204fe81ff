"""How a message turned out, and what follows for the episodes that had to do with it."""

import sqlite3
from typing import Literal

import msgspec


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of how a message turned out."""

    message: str
    good: bool
    why: str = ""
    said_by: str = ""
    trust: Literal[0, 1, 2] = 1


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
    sql = "SELECT good FROM outcomes WHERE message = ? AND said_by = ?"
    before = conn.execute(sql, (outcome.message, outcome.said_by)).fetchone()
    conn.execute(
        "INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)",
        (outcome.message, outcome.said_by, outcome.good, outcome.why, outcome.trust, now),
    )
    made, recalled = _made(conn, outcome.message), _recalled(conn, outcome.message)
    if before is not None and bool(before[0]) != outcome.good:
        _count(conn, recalled, good=not outcome.good, by=-1)
    if before is None or bool(before[0]) != outcome.good:
        _count(conn, recalled, good=outcome.good, by=1)
    _judge(conn, made, outcome)
    conn.executemany(
        "UPDATE episodes SET why = ? WHERE number = ?", [(outcome.why, each) for each in recalled if outcome.why]
    )
    return Touched(remembered=len(made), recalled=len(recalled))


def apply_earlier(conn: sqlite3.Connection, message: str, number: int) -> None:
    """Let an episode know what was said of its message before it was remembered."""
    sql = "SELECT message, good, why, said_by, trust FROM outcomes WHERE message = ? ORDER BY at"
    for message, good, why, said_by, trust in conn.execute(sql, (message,)).fetchall():  # noqa: B020 - the same
        _judge(conn, [number], Outcome(message=message, good=bool(good), why=why, said_by=said_by, trust=trust))


def _judge(conn: sqlite3.Connection, numbers: list[int], outcome: Outcome) -> None:
    """Say whether it worked. Who is not trusted does so only where nobody knew, and only that it did not."""
    for number in numbers:
        sql = "UPDATE episodes SET worked = ?, why = ? WHERE number = ? AND (? > 0 OR (worked IS NULL AND NOT ?))"
        conn.execute(sql, (outcome.good, outcome.why, number, outcome.trust, outcome.good))


def _count(conn: sqlite3.Connection, numbers: list[int], *, good: bool, by: int) -> None:
    column = "helped" if good else "harmed"
    sql = f"UPDATE episodes SET {column} = max(0, {column} + ?) WHERE number = ?"  # noqa: S608 - one of two words
    conn.executemany(sql, [(by, number) for number in numbers])


def _made(conn: sqlite3.Connection, message: str) -> list[int]:
    return [int(number) for (number,) in conn.execute("SELECT episode FROM made WHERE message = ?", (message,))]


def _recalled(conn: sqlite3.Connection, message: str) -> list[int]:
    """Return what was recalled for a message: what was used, where the actor said so, else all of it."""
    rows = conn.execute("SELECT episode, used FROM recalls WHERE message = ?", (message,)).fetchall()
    used = [int(number) for number, was_used in rows if was_used]
    return used or [int(number) for number, _ in rows]
