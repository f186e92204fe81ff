"""Forgetting in an actor's first file: values of working memory, and what SQLite would keep of deleted rows."""

import sqlite3

from .actor_file import ActorFile
from .mentions import mentions

_OURS = ("memory", "memory_size", "owner")
_NAMED = "SELECT key FROM memory WHERE instr(key, ?) > 0 OR instr(value, ?) > 0"


async def erase(file: ActorFile, text: str) -> tuple[list[str], str]:
    """Delete the values of working memory that have `text`, letter by letter, in their key or value.

    Returns their keys, and what became of their bytes.
    """
    await file.memory.ready()
    keys = await file.db.write(lambda conn: _delete(conn, text), committed=file.memory.dropped)
    return keys, f"free pages overwritten, {await file.db.read(scrub)}"  # where older values may be too


async def would_erase(file: ActorFile, text: str) -> int:
    """Return how many values :func:`erase` would delete now."""
    return len(await file.db.read(lambda conn: _named(conn, text)))


async def left_in(file: ActorFile, text: str) -> dict[str, int]:
    """Return the tables that mention `text` and that forgetting does not touch, and how many of their rows do.

    They are the memory of tasks: what was done, and what is to leave. Without it an act would be done twice.
    """
    return await file.db.read(lambda conn: mentions(conn, text, but=_OURS))


def _delete(conn: sqlite3.Connection, text: str) -> list[str]:
    conn.execute("PRAGMA secure_delete = ON")
    keys = _named(conn, text)
    conn.executemany("DELETE FROM memory WHERE key = ?", [(key,) for key in keys])
    return keys


def _named(conn: sqlite3.Connection, text: str) -> list[str]:
    return [key for (key,) in conn.execute(_NAMED, (text, text.encode()))]


def scrub(conn: sqlite3.Connection) -> str:
    """Pack a file and empty its log, outside a transaction, so that nothing of deleted rows is left in either.

    Returns what became of the log.
    """
    conn.execute("PRAGMA query_only = 0")
    conn.execute("VACUUM")
    busy, _, _ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return "log not emptied, as another process reads it: forget once more" if busy else "log emptied"
