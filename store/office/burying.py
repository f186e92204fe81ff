"""Leases whose holder is gone: what was not settled may have been spent, and counts so."""

import math
import sqlite3

import msgspec

from . import window_table
from .settling import lost_id


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that nobody gave back."""

    lease: int
    actor: str
    amount: int
    """What was not settled of it, in nano-dollars; it counts as spent wherever it was reserved."""


def bury(conn: sqlite3.Connection, cell: str, epoch: int, now: float) -> list[Lost]:
    """Close the open leases of a cell's lives before `epoch`."""
    sql = "SELECT id, cell, actor, rest FROM leases WHERE rest > 0 AND cell = ? AND epoch < ? ORDER BY id"
    return [_lose(conn, row, now) for row in conn.execute(sql, (cell, epoch)).fetchall()]


def expire(conn: sqlite3.Connection, before: float, made_before: float, now: float) -> list[Lost]:
    """Close the open leases that ended before `before`, and those without end that were made before `made_before`."""
    sql = (
        "SELECT id, cell, actor, rest FROM leases INDEXED BY leases_open WHERE rest > 0 "
        "AND (until < ?1 OR (until = ?2 AND made < ?3)) ORDER BY id"
    )
    return [_lose(conn, row, now) for row in conn.execute(sql, (before, math.inf, made_before)).fetchall()]


def _lose(conn: sqlite3.Connection, row: tuple[int, str, str, int], now: float) -> Lost:
    lease, cell, actor, rest = row
    counted = rest if window_table.spend(conn, lease, rest) else 0
    conn.execute("UPDATE leases SET rest = 0, lost = ? WHERE id = ?", (counted, lease))
    sql = "INSERT INTO ledger (id, at, cell, actor, cost, worst, how, lease) VALUES (?, ?, ?, ?, ?, ?, 'lost', ?)"
    conn.execute(sql, (lost_id(lease), now, cell, actor, counted, rest, lease))
    return Lost(lease=lease, actor=actor, amount=rest)
