"""The table of working memory: SQL on a connection, inside whatever transaction the caller has.

The order of use is the mirror's. In the file each row has ``used``, a tick taken at each write, from which that order
is read at opening. An access does not write: it leaves a newer tick in `touched`, which reaches the file with a
sweep. So eviction is exact, and a killed process loses only the order of its last accesses.
"""

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from .mirror import Listing, Mirror, Row
from .values import checked_key

_MOST_ROWS: Final = 64  # of one statement: beyond that nothing is won
_MARGIN: Final = 16


class MemoryTable:
    """Read and change the rows. Its methods run on the database's thread, apart from :meth:`touch`."""

    def __init__(self, mirror: Mirror, *, max_rows: int) -> None:
        self._mirror = mirror
        self._max_rows = max_rows
        self._ticks: Iterator[int] = itertools.count(1)
        self._touched: dict[str, int] = {}
        self._last = self._settled = 0
        """The last tick given to a write; the last one that a transaction ended with."""
        self._evicted = 0
        """How many rows the transaction may have evicted so far, all of which the mirror still has."""

    def touch(self, key: str) -> None:
        """Note that a row was used. For the event loop; each step of it is atomic."""
        self._touched[key] = next(self._ticks)
        self._mirror.use(key)

    @property
    def has_touches(self) -> bool:
        """Whether accesses wait to be saved."""
        return bool(self._touched)

    def load(self, conn: sqlite3.Connection) -> None:
        """Fill the mirror; ticks go on from the highest in the file."""
        rows = conn.execute("SELECT key, expires, used FROM memory ORDER BY used").fetchall()
        self._last = self._settled = rows[-1][2] if rows else 0
        self._ticks = itertools.count(self._last + 1)
        self._touched.clear()
        self._mirror.load((key, expires) for key, expires, _ in rows)

    def find(self, conn: sqlite3.Connection, key: str) -> Row | None:
        """Return a row, living or expired."""
        found = conn.execute("SELECT expires, value FROM memory WHERE key = ?", (key,)).fetchone()
        return Row(*found) if found else None

    def put(self, conn: sqlite3.Connection, items: list[tuple[str, Row]]) -> list[str]:
        """Write rows, at least one, and return the keys evicted for them."""
        ticks, begin = self._ticks, 0
        while begin < len(items):
            count = min(_MOST_ROWS, 1 << (len(items) - begin).bit_length() - 1)
            values: list[Any] = []
            for key, (expires, data) in items[begin : begin + count]:
                values += (key, data, expires, next(ticks))
            conn.execute(_upsert(count), values)
            self._last = values[-1]
            begin += count
        surplus = int(conn.execute("SELECT entries FROM memory_size").fetchone()[0]) - self._max_rows
        return self._evict(conn, surplus) if surplus > 0 else []

    def replace(self, conn: sqlite3.Connection, rows: Callable[[float, int], Iterable[Any]], now: float) -> Listing:
        """Let the rows that `rows` gives for this time and this many take the place of all: key, value, expiry each."""
        conn.execute("DELETE FROM memory")
        kept = Listing()
        for key, value, expires in rows(now, self._max_rows):
            conn.execute(_upsert(1), (checked_key(key), value, expires, next(self._ticks)))
            kept.append((key, expires))
        self._last = next(self._ticks)
        return kept

    def delete(self, conn: sqlite3.Connection, key: str) -> bool:
        """Delete a row; True if there was one."""
        self._touched.pop(key, None)
        return conn.execute("DELETE FROM memory WHERE key = ?", (key,)).rowcount > 0

    def living(self, conn: sqlite3.Connection, prefix: str, start: str, now: float) -> list[tuple[str, bytes]]:
        """Return keys and values of the living rows from `start` whose key starts with `prefix`, in key order."""
        sql = "SELECT key, value FROM memory WHERE key >= ? AND expires > ? ORDER BY key"
        rows: Iterator[tuple[str, bytes]] = conn.execute(sql, (max(prefix, start), now))
        return list(itertools.takewhile(lambda row: row[0].startswith(prefix), rows))

    def save_touches(self, conn: sqlite3.Connection, limit: int) -> None:
        """Write the ticks of up to `limit` accesses into the file."""
        for _ in range(min(limit, len(self._touched))):
            key, tick = self._touched.popitem()
            conn.execute("UPDATE memory SET used = max(used, ?) WHERE key = ?", (tick, key))
            self._last = max(self._last, tick)

    def settle(self) -> None:
        """Note that the mirror has all that was written."""
        self._settled, self._evicted = self._last, 0

    def _evict(self, conn: sqlite3.Connection, surplus: int) -> list[str]:
        """Delete the `surplus` least recently used rows.

        The mirror knows nothing yet of what this transaction has written or deleted. A row that it wrote has a tick
        above the settled ones, and is passed over: it is newer than all that it did not write.
        """
        gone, sql = list[str](), "DELETE FROM memory WHERE key = ? AND used <= ?"
        for key in self._mirror.oldest(self._evicted + surplus + _MARGIN):
            if len(gone) == surplus:
                break
            if conn.execute(sql, (key, self._settled)).rowcount:
                gone.append(key)
        if len(gone) < surplus:
            gone += self._evict_by_tick(conn, surplus - len(gone))
        for key in gone:
            self._touched.pop(key, None)
        self._evicted += len(gone)
        return gone

    def _evict_by_tick(self, conn: sqlite3.Connection, surplus: int) -> list[str]:
        """Delete by the file's own order: for transactions that write more rows than the mirror's oldest ones."""
        self.save_touches(conn, len(self._touched))
        found = conn.execute("SELECT key FROM memory ORDER BY used LIMIT ?", (surplus,)).fetchall()
        conn.executemany("DELETE FROM memory WHERE key = ?", found)
        return [key for (key,) in found]


@cache
def _upsert(count: int) -> str:
    """Return the statement that writes `count` rows; one for many costs half of many for one."""
    rows = ", ".join(["(?, ?, ?, ?)"] * count)
    return (
        f"INSERT INTO memory (key, value, expires, used) VALUES {rows} ON CONFLICT (key) DO UPDATE "  # noqa: S608 - only places
        "SET value = excluded.value, expires = excluded.expires, used = excluded.used"
    )
