"""Epochs: a number for each incarnation of a cell or actor, higher than any before it."""

import sqlite3

from .database import Database
from .errors import NotDurable


class Epochs:
    """The epochs given out by a daemon. One given is on the disk before anyone sees it."""

    def __init__(self, db: Database) -> None:
        if db.synchronous != "FULL":
            raise NotDurable(f"{db.path} is open with synchronous={db.synchronous}: epochs need FULL")
        self._db = db

    async def next(self, name: str) -> int:
        """Return the next epoch of `name`: above all that were ever given out, since an actor may change its cell."""
        return await self._db.write(lambda conn: _raised(conn, name))

    async def current(self, name: str) -> int:
        """Return the last epoch given to `name`; 0 if none was."""
        return await self._db.read(lambda conn: _current(conn, name))


def _raised(conn: sqlite3.Connection, name: str) -> int:
    [(highest,)] = conn.execute("SELECT coalesce(max(epoch), 0) FROM epoch").fetchall()
    sql = "INSERT INTO epoch VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch RETURNING epoch"
    [(epoch,)] = conn.execute(sql, (name, highest + 1)).fetchall()
    return int(epoch)


def _current(conn: sqlite3.Connection, name: str) -> int:
    row = conn.execute("SELECT epoch FROM epoch WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0
