"""``office.db``: what may be spent, what was spent, and what was answered before, for the whole fleet."""

import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from callboard.clock import Clock
from callboard.errors import CallboardError

from ..database import Database
from ..lock import OwnerLock
from ..opening import Synchronous
from ..owner import claim
from . import (
    burying,
    entry,
    forgetting,
    lease_request,
    leasing,
    marks,
    memories,
    settling,
    sweeping,
    window_table,
)
from .burying import Lost
from .cache import Cache, Cached
from .entry import Entry
from .forgetting import Forgot
from .granting import Refused
from .lease_request import LeaseRequest, Window
from .leasing import Leased
from .ledger import Ledger
from .schema import OFFICE, path_of_office
from .settling import Settled
from .sweeping import Swept

KEEP: Final = 400 * 86400.0
"""Seconds that the ledger goes back."""
CACHE_MOST: Final = 64 * 1024 * 1024
"""Bytes of answers."""


class OfficeFile(Ledger):
    """The office's open file. Made by :meth:`open`, which also closes it.

    What moves money is one transaction each, and shares its commit with what others move at the same time. Who is
    cancelled while waiting for a lease may have got it: it ends with its window, as spent.
    """

    def __init__(self, db: Database, cache: Cache, *, clock: Clock, keep: float) -> None:
        super().__init__(db)
        self._cache, self._clock, self._keep = cache, clock, keep
        self._began = clock.now() - clock.monotonic()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, state: Path, *, epoch: int, clock: Clock, synchronous: Synchronous = "FULL",
        most_bytes: int = CACHE_MOST, keep: float = KEEP,
    ) -> "AsyncGenerator[OfficeFile, None]":  # fmt: skip
        """Own the office's file below the folder `state` for the length of an ``async with``.

        Args:
            state: the folder.
            epoch: of the actor that owns it.
            clock: gives the time, in Unix seconds.
            synchronous: see :meth:`Database.open`.
            most_bytes: of answers in the cache.
            keep: seconds that the ledger goes back.

        Raises:
            OwnerConflict, Fenced: it is another's.
            StoreError: and what else :meth:`Database.open` raises.

        """
        path = path_of_office(state)
        async with Database.open(path, migrations=OFFICE, synchronous=synchronous, lock=OwnerLock(path)) as db:
            await db.write(lambda conn: claim(conn, path, actor="office", epoch=epoch))
            cache = await Cache.open(db, most_bytes=most_bytes)
            made = cls(db, cache, clock=clock, keep=keep)
            try:
                yield made
            finally:
                await made._close()

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):  # bounded by the database's own patience
            try:
                await self._cache.save_hits()
            except CallboardError:
                self._cache.forget_hits()  # a full disk, say: only the order of use is lost

    async def lease(self, request: LeaseRequest) -> Leased | Refused:
        """Put money aside in all windows of a request, or in none. Raises InvalidLimit: it makes no sense."""
        whole, now = lease_request.checked(request), self._clock.now()
        return await self.db.write(lambda conn: leasing.lease(conn, whole, now))

    async def declare(self, windows: Sequence[Window]) -> None:
        """Let windows be there, with the limits that hold from now on, before anybody spends in them."""
        now = self._clock.now()
        await self.db.write(lambda conn: [window_table.stand(conn, window, now) for window in windows])

    async def settle(self, cell: str, epoch: int, entries: Sequence[Entry]) -> Settled:
        """Write down what calls did cost; all of it or nothing. Raises InvalidLimit: an entry makes no sense.

        A cell may settle its own leases, and those of its lives before.
        """
        whole = [entry.checked(each) for each in entries]
        return await self.db.write(lambda conn: settling.settle(conn, cell, epoch, whole))

    async def give_back(self, cell: str, epoch: int, leases: Iterable[int]) -> int:
        """Let what was not settled of leases be free again; return how much. Only who leased may."""
        numbers = list(leases)
        return await self.db.write(lambda conn: leasing.give_back(conn, cell, epoch, numbers))

    async def bury(self, cell: str, epoch: int) -> list[Lost]:
        """Close the open leases of the lives of a cell before `epoch`; what was not settled counts as spent."""
        now = self._clock.now()
        return await self.db.write(lambda conn: burying.bury(conn, cell, epoch, now))

    async def expire(self, before: float, *, made_before: float = -math.inf) -> list[Lost]:
        """Do the same with leases that ended before a time, and with those without end that are older than another."""
        now = self._clock.now()
        return await self.db.write(lambda conn: burying.expire(conn, before, made_before, now))

    async def cached(self, key: bytes) -> Cached | None:
        """Return an answer that has not expired."""
        return await self._cache.get(key, self._clock.now())

    async def keys(self, actor: str, most: int) -> list[bytes]:
        """Return the keys of an actor's living answers, at most so many."""
        return await self._cache.keys(actor, most, self._clock.now())

    async def put_cached(self, answer: Cached) -> bool:
        """Keep an answer in place of the one under its key; False if it is larger than all the room there is."""
        return await self._cache.put(answer)

    async def evict(self, message: str) -> list[bytes]:
        """Drop the answers that calls for a message made or were given; return their keys, for who has copies."""
        return await self.db.write(lambda conn: marks.evict(conn, message))

    async def outcome(self, message: str, *, good: bool) -> int:
        """Note in the ledger how a message turned out; return how many calls were for it."""
        return await self.db.write(lambda conn: marks.outcome(conn, message, good=good))

    async def forget(self, about: str, actor: str = "") -> Forgot:
        """Delete what mentions somebody; what was spent is still known. It runs to its end, whoever leaves."""
        with anyio.CancelScope(shield=True):  # bounded by the size of the file
            found = await forgetting.forget(self.db, about, actor)
            self._cache.forget_hits()  # of keys that may be gone
        return found

    async def memory_of(self, actor: str) -> int:
        """Return how often an actor's memory was changed by hand."""
        return await self.db.read(lambda conn: memories.changes_of(conn, actor))

    async def memory_changed(self, actor: str) -> int:
        """Note that it was, and return how often by now."""
        return await self.db.write(lambda conn: memories.changed(conn, actor))

    async def sweep(self) -> Swept:
        """Let go what has expired or is too old, and write down which answers were used."""
        await self._cache.save_hits()
        now = self._clock.now()
        # A clock that jumps ahead and comes back must not cost the ledger.
        surely = min(now, self._began + self._clock.monotonic())
        return await sweeping.sweep(self.db, now, surely=surely, keep=self._keep)
