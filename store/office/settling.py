"""What calls did cost: written down once, and taken from the leases that they name."""

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from . import window_table
from .entry import COLUMNS, LOST, Entry, row_of

_INSERT: Final = (
    f"INSERT INTO ledger ({', '.join(COLUMNS)}, saved) VALUES ({', '.join('?' * (len(COLUMNS) + 1))}) "  # noqa: S608 - ours
    "ON CONFLICT (id) DO NOTHING"
)


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """A call that did cost more than its lease had left."""

    entry: str
    lease: int
    """Unknown here, of another cell, or 0: then no budget knows of it."""
    amount: int
    counted: bool
    """Whether it counts in the windows of a lease."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of entries."""

    new: int = 0
    """Those that were not known."""
    over: tuple[Over, ...] = ()


def settle(conn: sqlite3.Connection, cell: str, epoch: int, entries: Iterable[Entry]) -> Settled:
    """Write entries down and let their cost count as spent; what is known under its id is passed over."""
    new, over = 0, list[Over]()
    for entry in entries:
        saved = _saved(conn, entry.key) if entry.cache else 0
        if conn.execute(_INSERT, [*row_of(entry, cell), saved]).rowcount:
            new += 1
            over += _take(conn, cell, epoch, entry) if entry.cost else ()
    return Settled(new=new, over=tuple(over))


def _saved(conn: sqlite3.Connection, key: bytes) -> int:
    """Return what the call did cost that made the answer."""
    sql = (
        "SELECT cost FROM ledger WHERE key = ? AND key != x'' AND cache = '' AND how IN ('ok', 'repaired') "
        "ORDER BY number DESC LIMIT 1"
    )
    found = conn.execute(sql, (key,)).fetchone()
    return int(found[0]) if found else 0


def _take(conn: sqlite3.Connection, cell: str, epoch: int, entry: Entry) -> list[Over]:
    """Take the cost from what the lease has left, then from what was lost with it; what is beyond that is over."""
    sql = "SELECT rest, lost FROM leases WHERE id = ? AND cell = ? AND epoch <= ?"
    found = conn.execute(sql, (entry.lease, cell, epoch)).fetchone()
    if found is None:
        return [Over(entry=entry.id, lease=entry.lease, amount=entry.cost, counted=False)]
    rest, lost = found
    within = min(entry.cost, rest)
    known = min(entry.cost - within, lost)
    over = entry.cost - within - known
    if within:
        window_table.spend(conn, entry.lease, within)
    if known:  # it counts as spent already
        conn.execute("UPDATE ledger SET cost = cost - ? WHERE id = ?", (known, lost_id(entry.lease)))
    if within or known:
        sql = "UPDATE leases SET rest = rest - ?, lost = lost - ? WHERE id = ?"
        conn.execute(sql, (within, known, entry.lease))
    if over and window_table.overspend(conn, entry.lease, over):
        return [Over(entry=entry.id, lease=entry.lease, amount=over, counted=True)]
    return []


def lost_id(lease: int) -> str:
    """Return the id under which the ledger has what was lost with a lease."""
    return f"{LOST}{lease}"
