"""``actors/<actor>.db``: the one file of an actor, with one owner at a time."""

import itertools
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from callboard.background import background
from callboard.clock import Clock

from .database import Database
from .lock import OwnerLock
from .memory_layer import MemoryLayer
from .migrations import ACTOR
from .opening import Synchronous
from .owner import claim
from .paths import path_of_actor
from .sweeping import Sweeper
from .task_log import TaskLog
from .working_memory import WorkingMemory


class ActorFile:
    """An actor's open file. Made by :meth:`open`, which also closes it."""

    def __init__(self, actor: str, db: Database, *, epoch: int, clock: Clock) -> None:
        self.actor = actor
        self.epoch, self._clock = epoch, clock
        self.db = db
        self.memory = WorkingMemory(db, clock=clock)
        self.sweeper = Sweeper(self.memory, clock=clock)
        self.tasks = TaskLog(db, epoch=epoch, clock=clock)

    async def values(self) -> int:
        """Return how many values working memory holds, also those that have expired and were not swept yet."""
        sql = "SELECT entries FROM memory_size"
        return int(await self.db.read(lambda conn: conn.execute(sql).fetchone()[0]))

    async def look(self, prefix: str, limit: int) -> list[tuple[str, bytes]]:
        """Return up to `limit` living values whose stored keys begin with `prefix`, packed, in order of their keys."""
        now, sql = self._clock.now(), "SELECT key, value FROM memory WHERE key >= ? AND expires > ? ORDER BY key"

        def rows(conn: sqlite3.Connection) -> list[tuple[str, bytes]]:
            found = itertools.takewhile(lambda row: row[0].startswith(prefix), conn.execute(sql, (prefix, now)))
            return list(itertools.islice(found, limit))

        return await self.db.read(rows)

    def layer(self) -> MemoryLayer:
        """Return the actor's memory as one task sees it."""
        return MemoryLayer(self.memory)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, state: Path, actor: str, *, epoch: int, clock: Clock, synchronous: Synchronous = "FULL"
    ) -> "AsyncGenerator[ActorFile, None]":
        """Own the file of `actor` below the folder `state` for the length of an ``async with``.

        The file's lock is taken first and given up last, and `epoch` is stored before anything else is
        written. While it is open, values that have expired are let go.

        Raises :class:`OwnerConflict` while another process owns the file, :class:`Fenced` if a higher epoch
        has owned it, :class:`~callboard.errors.InvalidName`, and what :meth:`Database.open` raises.
        """
        path = path_of_actor(state, actor)
        lock = OwnerLock(path)
        async with Database.open(path, migrations=ACTOR, synchronous=synchronous, lock=lock) as db:
            await db.write(lambda conn: claim(conn, path, actor=actor, epoch=epoch))
            made = cls(actor, db, epoch=epoch, clock=clock)
            async with background() as tasks:
                tasks.start_soon(made.sweeper.run)
                yield made
