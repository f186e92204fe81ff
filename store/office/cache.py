"""Answers that were given before, by a digest of all that they depend on; the least recently used make room.

A hit writes nothing: it leaves a tick in memory, and the ticks reach the file many at once, before anything is chosen
to make room. So a killed process loses the order of its last hits, and no answer.
"""

import itertools
import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from ..database import Database

ROW: Final = 200
"""Bytes that count for a row beside what it holds."""
NOTED_MOST: Final = 1000
"""Hits that are kept in memory."""


class Cached(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    key: bytes
    actor: str
    tenant: str = ""
    body: bytes
    made: float
    """Unix seconds."""
    expires: float
    """Unix seconds; from then on there is none."""

    @property
    def size(self) -> int:
        """What it takes of the room."""
        return ROW + len(self.key) + len(self.body) + len(self.actor.encode()) + len(self.tenant.encode())


class Cache:
    """The table of answers. Made by :meth:`open`."""

    def __init__(self, db: Database, *, most_bytes: int, last_tick: int) -> None:
        self._db, self._most = db, most_bytes
        self._ticks: Iterator[int] = itertools.count(last_tick + 1)
        self._hits: dict[bytes, int] = {}

    @classmethod
    async def open(cls, db: Database, *, most_bytes: int) -> "Cache":
        """Go on with the ticks from the last in the file."""
        last = await db.read(lambda conn: conn.execute("SELECT coalesce(max(used), 0) FROM cache").fetchone()[0])
        return cls(db, most_bytes=most_bytes, last_tick=last)

    async def get(self, key: bytes, now: float) -> Cached | None:
        """Return a living answer."""
        found = await self._db.read(lambda conn: _find(conn, key, now))
        if found is not None:
            self._hits[key] = next(self._ticks)
            if len(self._hits) >= NOTED_MOST:
                await self.save_hits()
        return found

    async def keys(self, actor: str, most: int, now: float) -> list[bytes]:
        """Return the keys of an actor's living answers, at most so many, the last used first."""
        sql = "SELECT key FROM cache WHERE actor = ? AND expires > ? ORDER BY used DESC LIMIT ?"
        rows = await self._db.read(lambda conn: conn.execute(sql, (actor, now, most)).fetchall())
        return [key for (key,) in rows]

    async def put(self, answer: Cached) -> bool:
        """Keep an answer; False if it is larger than all the room there is."""
        if answer.size > self._most:
            return False
        hits, tick = self._take_hits(), next(self._ticks)
        await self._db.write(lambda conn: self._put(conn, answer, hits, tick))
        return True

    async def save_hits(self) -> None:
        """Write down which answers were used last."""
        if self._hits:
            hits = self._take_hits()
            await self._db.write(lambda conn: _note(conn, hits))

    def forget_hits(self) -> None:
        """Drop what was not written down."""
        self._hits.clear()

    def _take_hits(self) -> dict[bytes, int]:
        hits, self._hits = self._hits, {}
        return hits

    def _put(self, conn: sqlite3.Connection, answer: Cached, hits: dict[bytes, int], tick: int) -> None:
        _note(conn, hits)
        conn.execute("DELETE FROM cache WHERE key = ?", (answer.key,))
        sql = "INSERT INTO cache (key, actor, tenant, made, expires, used, bytes, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        values = (answer.key, answer.actor, answer.tenant, answer.made, answer.expires, tick, answer.size, answer.body)
        conn.execute(sql, values)
        _make_room(conn, self._most)


def _find(conn: sqlite3.Connection, key: bytes, now: float) -> Cached | None:
    sql = "SELECT actor, tenant, body, made, expires FROM cache WHERE key = ? AND expires > ?"
    row = conn.execute(sql, (key, now)).fetchone()
    if row is None:
        return None
    actor, tenant, body, made, expires = row
    return Cached(key=key, actor=actor, tenant=tenant, body=body, made=made, expires=expires)


def _note(conn: sqlite3.Connection, hits: dict[bytes, int]) -> None:
    sql = "UPDATE cache SET used = max(used, ?) WHERE key = ?"
    conn.executemany(sql, [(tick, key) for key, tick in hits.items()])


def _make_room(conn: sqlite3.Connection, most: int) -> None:
    """Delete those that were used longest ago until the rest fits."""
    surplus = int(conn.execute("SELECT bytes FROM cache_size").fetchone()[0]) - most
    gone = list[tuple[int]]()
    for number, size in conn.execute("SELECT number, bytes FROM cache ORDER BY used") if surplus > 0 else ():
        gone.append((number,))
        surplus -= size
        if surplus <= 0:
            break
    conn.executemany("DELETE FROM cache WHERE number = ?", gone)
