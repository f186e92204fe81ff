"""Taking working memory back from a backup."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from .actor_file import ActorFile
from .backup import checked_backup, opened_backup
from .migrations import ACTOR
from .mirror import Listing

_LATEST: Final = (
    "SELECT key, value, expires FROM (SELECT * FROM memory WHERE expires > ? ORDER BY used DESC LIMIT ?) ORDER BY used"
)


async def restore_memory(file: ActorFile, source: Path) -> int:
    """Let the living values of a backup take the place of all in the memory, and return how many there are.

    All of it or nothing, at whatever moment this ends; what belongs to tasks is not touched. Of more values than the
    memory may have, those used last are taken.

    Raises:
        BackupDamaged: `source` is no sound backup of an actor's file.

    """
    await anyio.to_thread.run_sync(checked_backup, source, ACTOR.application_id)

    def replace(conn: sqlite3.Connection) -> Listing:
        with opened_backup(source) as backup:
            return file.memory.replace(conn, partial(backup.rows, _LATEST))

    await file.memory.ready()
    listing: Listing = await file.db.write(replace, committed=file.memory.replaced)
    return len(listing)
