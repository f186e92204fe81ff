"""Taking long-term memory back from a backup: rows alone, since words and index are made of them."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
import msgspec

from ..backup import Source, checked_backup, damaged_backup, opened_backup
from ..migrations import EPISODES
from . import table

if TYPE_CHECKING:
    from .embedder import Embedder
    from .file import EpisodeFile

# The episodes come first: triggers delete with each old one what belongs to it, and note each new one as one that waits
# for its vector.
_COLUMNS: Final = {
    "episodes": table.COLUMNS,
    "labels": "name, value, episode",
    "links": "episode, other, kind, likeness",
    "made": "message, episode",
    "recalls": "message, episode, at, used",
    "outcomes": "message, said_by, good, why, trust, at",
    "vectors": "embedder, episode, vector",
    "embedder": "only, id",
    "pending": "episode",
}


async def restore_episodes(file: "EpisodeFile", source: Path) -> int:
    """Let the episodes of a backup, and all that belongs to them, take the place of all; return how many there are.

    All of it or nothing, at whatever moment this ends. Found by words at once, by likeness when the index has been
    built anew; if the vectors are of another embedder, after ``callboard memory reindex``.

    Raises:
        BackupDamaged: `source` is no sound backup of a long-term memory.

    """
    await anyio.to_thread.run_sync(checked_backup, source, EPISODES.application_id)
    return await file.replace_all(partial(_replace, path=source, embedder=file.indexer.embedder))


def _replace(conn: sqlite3.Connection, *, path: Path, embedder: "Embedder") -> int:
    with opened_backup(path) as backup:
        conn.execute("DELETE FROM snapshot")
        for name, columns in _COLUMNS.items():
            conn.execute(f"DELETE FROM {name}")  # noqa: S608 - our own tables
            _copy(conn, backup, name, columns)
        conn.execute("INSERT INTO words (words) VALUES ('rebuild')")
        if (wrong := _wrong(conn, embedder)) is not None:
            raise damaged_backup(path, wrong)
        return int(conn.execute("SELECT count(*) FROM episodes").fetchone()[0])


def _copy(conn: sqlite3.Connection, backup: Source, name: str, columns: str) -> None:
    marks = ", ".join("?" * len(columns.split(",")))
    rows = backup.rows(f"SELECT {columns} FROM {name}")  # noqa: S608 - our own tables
    conn.executemany(f"INSERT INTO {name} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - the same


def _wrong(conn: sqlite3.Connection, embedder: "Embedder") -> str | None:
    """Return what later code could not live with."""
    if conn.execute("SELECT count(*) FROM embedder").fetchone()[0] != 1:
        return "it does not say whose its vectors are"
    try:
        table.check_all(conn)
    except (msgspec.MsgspecError, UnicodeError, ValueError, TypeError) as error:
        return f"one of its episodes cannot be read: {error}"
    sql = "SELECT 1 FROM vectors WHERE embedder = ? AND length(vector) NOT IN (0, ?)"
    if conn.execute(sql, (embedder.id, 4 * embedder.dimensions)).fetchone():
        return f"a vector of {embedder.id} has not {embedder.dimensions} numbers"
    return None
