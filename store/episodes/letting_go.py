"""Which episodes go when there are too many, or when they are too old."""

import sqlite3
from typing import Final

from . import table
from .ranking import wilson
from .retention import Retention

BATCH: Final = 200
DAY: Final = 86_400.0


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
    before = now - 90 * DAY
    gone = conn.execute(
        "DELETE FROM recalls WHERE (message, episode) IN (SELECT message, episode FROM recalls WHERE at < ? LIMIT ?)",
        (before, BATCH),
    ).rowcount
    sql = (
        "DELETE FROM outcomes WHERE (message, said_by) IN (SELECT message, said_by FROM outcomes WHERE at < ? LIMIT ?)"
    )
    return gone + conn.execute(sql, (before, BATCH)).rowcount
