"""The table of windows: SQL on a connection, inside whatever transaction the caller has.

A change of one lease is made in all its windows by one statement. What the file itself holds to: what is spent and
reserved is never above the limit, but for what was spent beyond a lease, and what a lowered limit found above it.
"""

import math
import sqlite3
from typing import Final

import msgspec

from .granting import Stand
from .lease_request import Window

_OF_LEASE: Final = "WHERE number IN (SELECT budget FROM shares WHERE lease = ?2)"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an open budget stands, in nano-dollars."""

    name: str
    start: float
    end: float
    limit: int
    spent: int
    reserved: int
    over: int
    """What of `spent` was beyond what had been leased."""


def stand(conn: sqlite3.Connection, window: Window, now: float) -> Stand:
    """Return how a window stands; it is made if it is new, and its limit applies from now on."""
    sql = "SELECT number, spent, reserved, told, ends, most FROM windows WHERE name = ? AND start = ?"
    row = conn.execute(sql, (window.name, window.start)).fetchone()
    if row is None:
        sql = "INSERT INTO windows (name, start, ends, most, used) VALUES (?, ?, ?, ?, ?)"
        made = conn.execute(sql, (window.name, window.start, window.end, window.limit, now))
        return Stand(window, made.lastrowid or 0, 0, 0, 0)
    number, spent, reserved, told, ends, most = row
    if (ends, most) != (window.end, window.limit):
        _change(conn, number, window)
    return Stand(window, number, spent, reserved, told)


def _change(conn: sqlite3.Connection, number: int, window: Window) -> None:
    sql = (
        "UPDATE windows SET ends = ?1, most = ?2, above = max(0, spent + reserved - beyond - ?2) WHERE number = ?3"
    )  # fmt: skip
    conn.execute(sql, (window.end, window.limit, number))


def reserve(conn: sqlite3.Connection, number: int, amount: int, *, told: int, now: float) -> None:
    """Put an amount aside in one window, and note which lines were told."""
    sql = "UPDATE windows SET reserved = reserved + ?, told = ?, used = ? WHERE number = ?"
    conn.execute(sql, (amount, told, now, number))


def spend(conn: sqlite3.Connection, lease: int, amount: int) -> bool:
    """Let what was put aside for a lease count as spent; False if it falls under no window."""
    sql = f"UPDATE windows SET reserved = reserved - ?1, spent = spent + ?1 {_OF_LEASE}"  # noqa: S608 - ours
    return conn.execute(sql, (amount, lease)).rowcount > 0


def overspend(conn: sqlite3.Connection, lease: int, amount: int) -> bool:
    """Count as spent what was not put aside; False if the lease falls under no window."""
    sql = f"UPDATE windows SET spent = spent + ?1, beyond = beyond + ?1 {_OF_LEASE}"  # noqa: S608 - ours
    return conn.execute(sql, (amount, lease)).rowcount > 0


def free(conn: sqlite3.Connection, lease: int, amount: int) -> None:
    """Let what was put aside for a lease be free again."""
    sql = (
        "UPDATE windows SET reserved = reserved - ?1, "  # noqa: S608 - ours
        f"above = max(0, min(above, spent + reserved - ?1 - beyond - most)) {_OF_LEASE}"
    )
    conn.execute(sql, (amount, lease))


def standings(conn: sqlite3.Connection, now: float, limit: int) -> list[Standing]:
    """Return the windows that are open, those with an end first; of those without one the newest `limit`."""
    columns = "name, start, ends, most, spent, reserved, beyond"
    sql = f"SELECT {columns} FROM windows WHERE start <= ?1 AND ends > ?1 AND ends < ?2 ORDER BY name"  # noqa: S608 - ours
    rows = conn.execute(sql, (now, math.inf)).fetchall()
    sql = f"SELECT {columns} FROM windows WHERE ends = ? ORDER BY number DESC LIMIT ?"  # noqa: S608 - ours
    rows += conn.execute(sql, (math.inf, limit)).fetchall()
    return [
        Standing(name=name, start=start, end=ends, limit=most, spent=spent, reserved=reserved, over=beyond)
        for name, start, ends, most, spent, reserved, beyond in rows
    ]
