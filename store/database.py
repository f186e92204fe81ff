"""One database file, one connection, one thread.

aiosqlite gives each statement to its thread by itself, so a task that is cancelled between two statements
leaves its transaction open for ever, and a BEGIN whose caller has gone still succeeds. Here the unit is a
whole function: it runs on the thread from BEGIN to COMMIT or ROLLBACK and no await lies inside it. Cancelling
stops the waiting, never the function. One that has begun runs to its end, one that has not is skipped, and
the connection is never left inside a transaction.

To wake a thread costs more than a small write. So the calls of one turn of the loop are gathered and cross to the
thread together, and what is committed together comes back together; while the thread works the next ones gather. A
place in the queue is taken until the thread has passed its call, so that cancelling cannot make the queue grow.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast

import aiosqlite
import anyio

from .calls import Call, Joined, Joint
from .errors import InvalidLimit, StoreClosed, StoreError, StoreStuck
from .lock import OwnerLock
from .migrations import Migrations
from .opening import Opener, Synchronous
from .places import Places
from .worker import GROUP, AnyCall, Worker

T = TypeVar("T")
Item = TypeVar("Item")

_THREAD_ENDS_WITHIN: Final = 10.0  # seconds after its last function: longer than a busy timeout


class _Requests(Protocol):
    def put(self, request: tuple[None, Callable[[], None]], /) -> None: ...


class Database:
    """An open database. Made by :meth:`open`, which also closes it."""

    def __init__(self, opener: Opener, connection: aiosqlite.Connection, *, max_pending: int) -> None:
        self.path = opener.path
        self.synchronous: Synchronous = opener.synchronous
        self._connection = connection
        self._worker = Worker(cast("sqlite3.Connection", opener.conn), opener.path)
        # Not anyio: the thread must answer without waiting for the loop, and anyio can only wait.
        self._loop = asyncio.get_running_loop()
        self._places = Places(max_pending)
        self._gathered: list[AnyCall] = []
        self._crossing = False
        """Whether the thread has calls of ours, or is about to."""
        self._closed = False
        # The public methods send one statement each, and answer each by itself. Only this private queue runs a
        # function of ours on the thread, and without that a transaction cannot be one unit. aiosqlite is held below
        # the next minor version for it.
        self._requests = cast("_Requests", connection._tx)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, migrations: Migrations, synchronous: Synchronous = "FULL", lock: OwnerLock | None = None,
        busy_timeout: float = 5.0, max_pending: int = 1000, close_within: float = 10.0,
    ) -> "AsyncGenerator[Database, None]":  # fmt: skip
        """Open the file at `path`, made with mode 0600 if there is none, for the length of an ``async with``.

        Args:
            path: the file; a missing parent folder is made with mode 0700.
            migrations: the kind of file, and its schema.
            synchronous: ``FULL`` syncs each commit (nothing acknowledged is lost at a power cut); ``NORMAL``
                may lose the last commits then, but never damages the file.
            lock: taken before the file is opened and given up after the thread has ended.
            busy_timeout: seconds to wait for another process that holds the file.
            max_pending: calls that may wait for the thread; further callers wait for a place.
            close_within: seconds that calls in the queue get at the end; what has not run by then fails.

        Raises:
            DatabaseCorrupt, DatabaseNewer, WrongDatabase: the file was left as it is.
            DatabaseLocked, DatabaseReadOnly, DiskFull, OwnerConflict, StoreError: it cannot be used now.
            StoreStuck: at the end, a function did not return; the lock is kept.
        """
        if max_pending < 1:
            raise InvalidLimit(f"max_pending of {path} must be 1 or more, not {max_pending}")
        opener = Opener(path, migrations, synchronous=synchronous, busy_timeout=busy_timeout, lock=lock)
        connection = aiosqlite.Connection(opener, iter_chunk_size=64)
        try:
            await connection
            db = cls(opener, connection, max_pending=max_pending)
        except BaseException:
            opener.cancel()
            await _end(opener)
            raise
        try:
            yield db
        finally:
            await db._close(opener, close_within)

    @property
    def pending(self) -> int:
        """How many calls hold a place: waiting for the thread or running on it."""
        return self._places.taken

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, committed: Callable[[T], None] | None = None) -> T:
        """Run `fn` as one transaction and return its result once that is committed.

        `fn` runs on the database's thread inside BEGIN IMMEDIATE … COMMIT; any exception of it undoes all it
        did and is raised here. It must not begin or end a transaction, and it must not return a cursor.
        Writes that wait at the same time share one COMMIT and succeed or fail on their own until that.

        `committed` is called with the result, on the thread, between the COMMIT and the next function.

        Cancelled while waiting, `fn` runs whole or not at all. Raises :class:`StoreClosed` and the store's
        other errors in place of SQLite's.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        return await self._through(Call(future, fn, writes=True, told=committed), future)

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on the database's thread, outside any transaction; nothing else writes while it runs.

        A write in it raises :class:`DatabaseReadOnly`. Otherwise as :meth:`write`.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        return await self._through(Call(future, fn, writes=False), future)

    def join(self, joined: Joined[Item, T], item: Item) -> Awaitable[T]:
        """Make a joined change for `item`, together with those of others who wait now; what they give is the same.

        Otherwise as :meth:`write`.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed or not self._places.take_nowait():
            return self._through(Joint(joined, [item], [future]), future)
        last = self._gathered[-1] if self._gathered else None
        if isinstance(last, Joint) and last.joined is joined and last.places < GROUP:
            last.add(item, future)
        else:
            self._gather(Joint(joined, [item], [future]))
        return future  # the short way, without a coroutine of our own

    async def _through(self, call: AnyCall, future: asyncio.Future[T]) -> T:
        self._check_open()
        await self._places.take()
        try:
            self._check_open()
        except StoreClosed:
            self._places.give(1)
            raise
        self._gather(call)
        return await future

    def _gather(self, call: AnyCall) -> None:
        """Let a call that has its place cross at the end of this turn of the loop, or when the thread is back."""
        self._gathered.append(call)
        if not self._crossing:
            self._crossing = True
            self._loop.call_soon(self._cross)

    def _cross(self) -> None:
        """Send what was gathered to the thread."""
        calls, self._gathered = self._gathered, []
        self._crossing = bool(calls)
        if calls:
            self._requests.put((None, partial(self._serve, calls)))

    def _serve(self, calls: list[AnyCall]) -> None:
        """Run on the thread, once for each crossing; each call passes, whatever happens.

        What has passed is told before the next one begins: that may be a long read.
        """
        left = len(calls)
        try:
            for some in self._worker.serve(calls):
                left -= len(some)
                self._post(some, last=not left)
        except BaseException as error:  # noqa: BLE001 - a fault of the connection itself; nobody may wait for ever
            passed = [call for call in calls if not call.passed]
            for call in passed:
                call.fail(error)
            if passed:
                self._post(passed, last=True)

    def _post(self, passed: list[AnyCall], *, last: bool) -> None:
        # A closed loop has nobody left who could wait.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, passed, last)

    def _deliver(self, passed: list[AnyCall], last: bool) -> None:
        for call in passed:
            self._places.give(call.places)
            call.deliver(self.path)
        if last:
            # After the tasks that were woken now, so that what they write next is in the same group.
            self._loop.call_soon(self._cross)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"{self.path} is closed: the call was not run", path=str(self.path))

    async def _close(self, opener: Opener, within: float) -> None:
        self._closed = True
        self._cross()  # the rest, before the end
        patience = anyio.move_on_after(within)
        with anyio.CancelScope(shield=True):
            try:
                with patience:
                    await self._connection.close()
            except sqlite3.Error as error:
                raise StoreError(f"{self.path} did not close cleanly ({error})", path=str(self.path)) from error
            finally:
                if patience.cancelled_caught:
                    self._worker.abort()
                await _end(opener)


async def _end(opener: Opener) -> None:
    """Wait until the thread has ended, then give back what it held; or raise :class:`StoreStuck`."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_THREAD_ENDS_WITHIN):
        # aiosqlite's last future is done a moment before its thread is, and that has no event to wait for.
        while opener.thread is None or opener.thread.is_alive():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.0005)
    if opener.thread is None or opener.thread.is_alive():
        raise StoreStuck(f"{opener.path}: a function did not return, its thread lives on", path=str(opener.path))
    opener.discard()
