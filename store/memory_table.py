"""The table of working memory: SQL on a connection, inside whatever transaction the caller has.

Rows are ordered by ``used``, a tick taken at each write. An access does not write: it leaves a newer tick in
`touched`, and that tick reaches the file when the row is about to be evicted, or with a sweep. So eviction is
exact, and a killed process loses only the order of its last accesses.
"""

import itertools
import sqlite3
from collections.abc import Iterator

from .mirror import Row


class MemoryTable:
    """Read and change the rows. Its methods run on the database's thread, apart from :meth:`touch`."""

    def __init__(self, *, max_rows: int) -> None:
        self._max_rows = max_rows
        self._ticks: Iterator[int] = itertools.count(1)
        self._touched: dict[str, int] = {}

    def touch(self, key: str) -> None:
        """Note that a row was used. For the event loop; each step of it is atomic."""
        self._touched[key] = next(self._ticks)

    def listing(self, conn: sqlite3.Connection) -> list[tuple[str, float]]:
        """Return each key and its expiry; ticks go on from the highest in the file."""
        self._ticks = itertools.count(int(conn.execute("SELECT coalesce(max(used), 0) FROM memory").fetchone()[0]) + 1)
        return conn.execute("SELECT key, expires FROM memory").fetchall()

    def find(self, conn: sqlite3.Connection, key: str) -> Row | None:
        """Return a row, living or expired."""
        found = conn.execute("SELECT expires, value FROM memory WHERE key = ?", (key,)).fetchone()
        return Row(*found) if found else None

    def put(self, conn: sqlite3.Connection, key: str, row: Row) -> list[str]:
        """Write a row and return the keys evicted for it."""
        conn.execute(
            "INSERT INTO memory (key, value, expires, used) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET value = excluded.value, expires = excluded.expires, used = excluded.used",
            (key, row.data, row.expires, next(self._ticks)),
        )
        surplus = int(conn.execute("SELECT entries FROM memory_size").fetchone()[0]) - self._max_rows
        return self._evict(conn, surplus, key) if surplus > 0 else []

    def delete(self, conn: sqlite3.Connection, key: str) -> bool:
        """Delete a row; True if there was one."""
        self._touched.pop(key, None)
        return conn.execute("DELETE FROM memory WHERE key = ?", (key,)).rowcount > 0

    def living(self, conn: sqlite3.Connection, prefix: str, now: float) -> list[tuple[str, bytes]]:
        """Return keys and values of the living rows whose key starts with `prefix`, in key order."""
        sql = "SELECT key, value FROM memory WHERE key >= ? AND expires > ? ORDER BY key"
        rows: Iterator[tuple[str, bytes]] = conn.execute(sql, (prefix, now))
        return list(itertools.takewhile(lambda row: row[0].startswith(prefix), rows))

    def save_touches(self, conn: sqlite3.Connection, limit: int) -> None:
        """Write the ticks of up to `limit` accesses into the file."""
        for _ in range(min(limit, len(self._touched))):
            key, tick = self._touched.popitem()
            conn.execute("UPDATE memory SET used = max(used, ?) WHERE key = ?", (tick, key))

    def _evict(self, conn: sqlite3.Connection, surplus: int, new: str) -> list[str]:
        """Delete the `surplus` least recently used rows, but never the `new` one.

        Each row moves back at most once: accesses that go on meanwhile cannot hold the eviction up.
        """
        gone: list[str] = []
        moved: set[str] = set()
        while len(gone) < surplus:
            sql = "SELECT key, used FROM memory WHERE key != ? ORDER BY used LIMIT 1"
            key, used = conn.execute(sql, (new,)).fetchone()
            tick = self._touched.pop(key, 0)
            if tick > used and key not in moved:
                moved.add(key)
                conn.execute("UPDATE memory SET used = ? WHERE key = ?", (tick, key))
            else:
                conn.execute("DELETE FROM memory WHERE key = ?", (key,))
                gone.append(key)
        return gone
