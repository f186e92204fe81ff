"""The quarantine of messages: each whole, with all that is known of why, until a person decides.

Bounded in bytes: the oldest give way to new ones, and are counted.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from .database import Database

BYTES_MOST: Final = 256 * 1024 * 1024


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was taken away, and why. Times in Unix seconds."""

    id: str
    actor: str
    type: str
    sender: str
    """The sending actor, its cell if that is not known, or ``outside``."""
    correlation: str
    causation: str
    trust: int
    reason: str
    """The code of the error: ``message-refused``, ``handler-failed``, …"""
    text: str
    path: str = ""
    """Where in the message, if it does not fit its type."""
    stack: list[str] = []
    tries: int = 0
    history: list[str] = []
    """What was said of each failure, the latest last."""
    stored: float = 0.0
    died: float
    number: int = 0
    """Its place in the queue it was taken from."""
    subject: str
    """Where it was stored, and goes again when it is retried."""
    data: bytes
    """The message as it was stored."""


_letter: Final = msgspec.msgpack.Decoder(DeadLetter)


class DeadLetters:
    """The dead letters of a daemon's database, of at most `most` bytes together."""

    def __init__(self, db: Database, *, most: int = BYTES_MOST) -> None:
        self._db, self._most = db, most

    async def put(self, letter: DeadLetter) -> int:
        """Keep a letter, in place of an earlier one of its id; return how many older ones gave way."""
        data = msgspec.msgpack.encode(letter)
        row = (letter.id, letter.actor, letter.died, len(data), data)

        def change(conn: sqlite3.Connection) -> int:
            sql = "INSERT OR REPLACE INTO dead (id, actor, died, bytes, letter) VALUES (?, ?, ?, ?, ?)"
            conn.execute(sql, row)
            gone = 0
            while conn.execute("SELECT coalesce(sum(bytes), 0) FROM dead").fetchone()[0] > self._most:
                conn.execute("DELETE FROM dead WHERE number = (SELECT min(number) FROM dead)")
                gone += 1
            conn.execute("UPDATE dead_dropped SET count = count + ?", (gone,))
            return gone

        return await self._db.write(change)

    async def latest(self, limit: int, *, actor: str | None = None) -> list[DeadLetter]:
        """Return the newest, of one actor if given."""
        sql = "SELECT letter FROM dead WHERE ? IS NULL OR actor = ? ORDER BY number DESC LIMIT ?"
        rows = await self._db.read(lambda conn: conn.execute(sql, (actor, actor, limit)).fetchall())
        return [_letter.decode(row[0]) for row in rows]

    async def find(self, beginning: str) -> list[DeadLetter]:
        """Return those whose id begins so, or ends so: ids of one moment begin alike. At most ten."""
        sql = "SELECT letter FROM dead WHERE substr(id, 1, ?) = ? OR substr(id, -?) = ? ORDER BY number LIMIT 10"
        wanted = (len(beginning), beginning, len(beginning), beginning)
        rows = await self._db.read(lambda conn: conn.execute(sql, wanted).fetchall())
        return [_letter.decode(row[0]) for row in rows]

    async def drop(self, letters: Sequence[DeadLetter]) -> None:
        """Forget letters: a person has dealt with them."""
        which = [(letter.actor, letter.id) for letter in letters]
        await self._db.write(
            lambda conn: conn.executemany("DELETE FROM dead WHERE actor = ? AND id = ?", which).rowcount
        )

    async def count(self) -> tuple[int, int]:
        """Return how many there are, and how many there was no room for."""
        sql = "SELECT (SELECT count(*) FROM dead), (SELECT count FROM dead_dropped)"
        found: tuple[int, int] = await self._db.read(lambda conn: conn.execute(sql).fetchone())
        return found
