"""A database whose one thread is held up by a test, as by a slow disk: so what waits for it can be watched."""

import asyncio
import sqlite3
import threading

import anyio

from callboard.store import Database

LONGEST = 10.0
"""Seconds after which a test that forgot to end a holdup goes on, and fails."""


class Holdup:
    """A function for :meth:`Database.write` or :meth:`Database.read` that runs until it is ended."""

    def __init__(self) -> None:
        self._begun = anyio.Event()
        self._ended = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, _conn: sqlite3.Connection) -> None:
        self._loop.call_soon_threadsafe(self._begun.set)
        self._ended.wait(LONGEST)

    async def wait_begun(self) -> None:
        """Wait until the thread is held up, and all before it has run."""
        await self._begun.wait()

    def end(self) -> None:
        """Let the thread go on."""
        self._ended.set()


async def wait_pending(db: Database, count: int) -> None:
    """Wait until so many calls hold a place of `db`, or have left one that the thread has not come to."""
    with anyio.fail_after(LONGEST):
        while db.pending < count:
            await anyio.lowlevel.checkpoint()
