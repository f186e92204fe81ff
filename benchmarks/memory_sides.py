"""The sides of working memory: each keeps the same texts by key in a file of its own, synced at each commit."""

import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import aiosqlite
import anyio
import msgspec

from callboard.clock import SystemClock
from callboard.store import ACTOR, Database, WorkingMemory

from .names import AIOSQLITE, AIOSQLITE_64, DISKCACHE, OURS, SQLITE
from .side import IN_FLIGHT

TEXT: Final = "x" * 64
LIVES: Final = 7200.0
MOST: Final = 2_000_000
_DATA: Final = msgspec.msgpack.encode(TEXT)
_TABLE: Final = "CREATE TABLE memory (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL, expires REAL NOT NULL) STRICT"
_PUT: Final = (
    "INSERT INTO memory VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, "
    "expires = excluded.expires"
)
_GET: Final = "SELECT value FROM memory WHERE key = ? AND expires > ?"
_text: Final = msgspec.msgpack.Decoder(str)


class MemorySide(Protocol):
    """One of those compared."""

    async def put(self, keys: Sequence[str]) -> None:
        """Store the text under each key; all are on the disk on return."""
        ...

    async def get(self, keys: Sequence[str]) -> int:
        """Read each key, and return how many texts there were."""
        ...


def in_batches(keys: Sequence[str]) -> Iterator[list[tuple[str, bytes, float]]]:
    """Yield rows, as many as are in flight."""
    for start in range(0, len(keys), IN_FLIGHT):
        yield [(key, _DATA, time.time() + LIVES) for key in keys[start : start + IN_FLIGHT]]


class Ours:
    """An actor's working memory; all defaults but the number of rows."""

    def __init__(self, memory: WorkingMemory) -> None:
        self._memory = memory

    async def put(self, keys: Sequence[str]) -> None:
        """Put with 64 tasks."""
        left = iter(keys)

        async def some() -> None:
            for key in left:
                await self._memory.put(key, TEXT)

        async with anyio.create_task_group() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.start_soon(some)

    async def get(self, keys: Sequence[str]) -> int:
        """Get one after the other."""
        found = 0
        for key in keys:
            found += await self._memory.get(key, str, default="") == TEXT
        return found


class Bare:
    """The module of the standard library, in one thread, on bytes that are ready."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    async def put(self, keys: Sequence[str]) -> None:
        """Commit 64 at a time."""
        for rows in in_batches(keys):
            self._conn.execute("BEGIN IMMEDIATE")
            self._conn.executemany(_PUT, rows)
            self._conn.execute("COMMIT")

    async def get(self, keys: Sequence[str]) -> int:
        """Select one after the other."""
        found = 0
        for key in keys:
            row = self._conn.execute(_GET, (key, time.time())).fetchone()
            found += row is not None and _text.decode(row[0]) == TEXT
        return found


class Aiosqlite:
    """aiosqlite, as its documentation shows it."""

    def __init__(self, conn: aiosqlite.Connection, *, batch: bool) -> None:
        self._conn, self._batch = conn, batch

    async def put(self, keys: Sequence[str]) -> None:
        """Commit each, or 64 at a time."""
        for rows in in_batches(keys):
            if self._batch:
                await self._conn.executemany(_PUT, rows)
                await self._conn.commit()
            else:
                for row in rows:
                    await self._conn.execute(_PUT, row)
                    await self._conn.commit()

    async def get(self, keys: Sequence[str]) -> int:
        """Select one after the other."""
        found = 0
        for key in keys:
            async with self._conn.execute(_GET, (key, time.time())) as cursor:
                row = await cursor.fetchone()
            found += row is not None and _text.decode(row[0]) == TEXT
        return found


class Diskcache:
    """diskcache, which commits each."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def put(self, keys: Sequence[str]) -> None:
        """Set one after the other."""
        for key in keys:
            self._cache.set(key, TEXT, expire=LIVES)

    async def get(self, keys: Sequence[str]) -> int:
        """Get one after the other."""
        found = 0
        for key in keys:
            found += self._cache.get(key) == TEXT
        return found


@asynccontextmanager
async def open_ours(folder: Path) -> AsyncIterator[Ours]:
    """Open a memory that syncs each commit."""
    async with Database.open(folder / "ours.db", migrations=ACTOR) as db:
        yield Ours(WorkingMemory(db, clock=SystemClock(), max_rows=MOST))


def open_bare(path: Path) -> sqlite3.Connection:
    """Open a table that syncs each commit."""
    conn = sqlite3.connect(path, isolation_level=None)
    for sql in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _TABLE):
        conn.execute(sql)
    return conn


@asynccontextmanager
async def open_memories(folder: Path) -> AsyncIterator[dict[str, MemorySide]]:
    """Open all sides in one folder, so on one disk."""
    async with AsyncExitStack() as stack:
        sides: dict[str, MemorySide] = {OURS: await stack.enter_async_context(open_ours(folder))}
        sides[SQLITE] = Bare(stack.enter_context(closing(open_bare(folder / "bare.db"))))
        for name, batch in ((AIOSQLITE, False), (AIOSQLITE_64, True)):
            path = folder / f"aiosqlite-{batch}.db"
            open_bare(path).close()
            conn = await stack.enter_async_context(aiosqlite.connect(path))
            await conn.execute("PRAGMA synchronous = FULL")
            sides[name] = Aiosqlite(conn, batch=batch)
        if find_spec("diskcache") is not None:
            from diskcache import Cache  # only in .venv-bench

            sides[DISKCACHE] = Diskcache(stack.enter_context(Cache(str(folder / "diskcache"), sqlite_synchronous=2)))
        yield sides
