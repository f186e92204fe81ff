"""Which episodes go when there are too many, or when they are too old."""

import sqlite3
from typing import Final

from . import table
from .ranking import wilson
from .retention import Retention

BATCH: Final = 200
DAY: Final = 86_400.0
NOTES_MOST: Final = 200_000
"""Rows of what was recalled for which message, and of what was said of messages."""


def worth(trust: int, worked: int | None, used: int, helped: int, harmed: int, days: float) -> float:
    """Return what an episode is worth to keep: did it help, is it trusted, is its outcome known, is it new?

    Half a year takes as much away as one step of trust gives. A known failure is worth as much as a success: it warns.
    """
    helpful = 2.0 * wilson(helped, harmed) + min(used, 10) / 10.0
    return helpful + 0.5 * trust + (0.0 if worked is None else 0.5) - 0.5 * max(0.0, days) / 182.5


def drop(conn: sqlite3.Connection, retention: Retention, now: float) -> list[int]:
    """Delete up to a batch of what is not to be kept, least worth first; return their numbers."""
    count = int(conn.execute("SELECT count(*) FROM episodes").fetchone()[0])
    gone = _too_old(conn, retention, now)
    if (surplus := min(count - len(gone) - retention.most, BATCH - len(gone))) > 0:
        gone += _least(conn, surplus, now, gone)
    table.delete(conn, gone)
    return gone


def _too_old(conn: sqlite3.Connection, retention: Retention, now: float) -> list[int]:
    if retention.days is None:
        return []
    sql = "SELECT number FROM episodes WHERE at < ? AND helped <= harmed ORDER BY number LIMIT ?"
    return [int(number) for (number,) in conn.execute(sql, (now - retention.days * DAY, BATCH))]


def _least(conn: sqlite3.Connection, surplus: int, now: float, gone: list[int]) -> list[int]:
    conn.create_function("worth", 6, worth, deterministic=True)
    sql = (
        "SELECT number FROM episodes ORDER BY worth(trust, worked, used, helped, harmed, (? - at) / 86400.0), number "
        "LIMIT ?"
    )
    rows = conn.execute(sql, (now, surplus + len(gone)))
    return [int(number) for (number,) in rows if number not in set(gone)][:surplus]


def tidy(conn: sqlite3.Connection, now: float) -> int:
    """Forget after a while what was recalled for which message, and what was said of it; return how many."""
    return sum(_tidy(conn, name, now - 90 * DAY) for name in ("recalls", "outcomes"))


def _tidy(conn: sqlite3.Connection, name: str, before: float) -> int:
    """Delete up to a batch of rows that are old, or the oldest of too many."""
    key = "message, episode" if name == "recalls" else "message, said_by"
    surplus = conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] - NOTES_MOST  # noqa: S608 - one of two tables
    sql = f"SELECT {key} FROM {name} WHERE at < ? OR ? > 0 ORDER BY at LIMIT ?"  # noqa: S608 - the same
    some = min(BATCH, surplus) if surplus > 0 else BATCH
    rows = conn.execute(sql, (before, surplus, some)).fetchall()
    first, second = key.split(", ")
    conn.executemany(f"DELETE FROM {name} WHERE {first} = ? AND {second} = ?", rows)  # noqa: S608 - the same
    return len(rows)
