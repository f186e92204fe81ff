"""The puts of one moment as one statement."""

import sqlite3

from .memory_table import MemoryTable
from .mirror import Mirror, Row


class JoinedPuts:
    """A joined change of the database: each item is a key and its row, the result are the keys evicted for them."""

    def __init__(self, table: MemoryTable, mirror: Mirror) -> None:
        self._table, self._mirror = table, mirror

    def run(self, conn: sqlite3.Connection, items: list[tuple[str, Row]]) -> list[str]:
        """Write the rows, in order."""
        return self._table.put(conn, items)

    def committed(self, items: list[tuple[str, Row]], result: list[str]) -> None:
        """Let readers see what has been committed."""
        self._mirror.keep(items)
        for key in result:
            self._mirror.drop(key)
        self._table.settle()
