"""Copies of a database while it is in use, and what must be true of a file before anything is taken from it.

A copy is made on a connection of its own, which may only read: it sees the file as of one commit, and holds no write
up. SQLite packs it on the way, so what was deleted is not in it. It gets its name when it is whole and on the disk.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import anyio.to_thread

from .database import Database
from .errors import BackupDamaged, BackupExists, DatabaseNewer, InvalidMemoryKey, WrongDatabase
from .faults import typed
from .folder import sync_folder
from .migrations import ACTOR, DAEMON, EPISODES

_KINDS: Final = {kind.application_id: kind for kind in (DAEMON, ACTOR, EPISODES)}
_BUSY: Final = 5.0


async def back_up(db: Database, target: Path) -> int:
    """Copy a whole database, with mode 0600, and return how many bytes the copy has; writes go on meanwhile.

    It is the state after one of the commits. Cancelled, it is made to its end all the same. What is killed on the way
    leaves a file beside the target that begins with a dot and ends with ``.part``.

    Raises:
        BackupExists: something is at `target`, which is left as it is.
        StoreError: another of the store's errors, such as DiskFull; then there is no file at `target`.

    """
    return await anyio.to_thread.run_sync(_back_up, db.path, target)


def _back_up(source: Path, target: Path) -> int:
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    if target.exists():
        raise _exists(target)
    try:
        try:
            _copy(source, draft)
            size = draft.stat().st_size
            target.hardlink_to(draft)  # unlike a rename it never overwrites
        finally:
            draft.unlink(missing_ok=True)
            Path(f"{draft}-journal").unlink(missing_ok=True)
        sync_folder(target.parent)
    except FileExistsError as error:  # it came meanwhile
        raise _exists(target) from error
    except (sqlite3.Error, OSError) as error:
        raise typed(error, target) from error
    return size


def _exists(target: Path) -> BackupExists:
    text = f"{target} is there already: a copy overwrites nothing, give another path"
    return BackupExists(text, path=str(target))


def _copy(source: Path, draft: Path) -> None:
    """Write the copy; on return its content is on the disk."""
    fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with closing(_reader(source)) as conn:
            conn.execute("VACUUM INTO ?", (str(draft),))
        os.fsync(fd)
    finally:
        os.close(fd)


def checked_backup(path: Path, application_id: int) -> int:
    """Return the version of a sound file of this kind, whose every page and index is looked at; it takes its time.

    Raises:
        BackupDamaged: it is not there, not sound, of another kind, or of a newer version.

    """
    try:
        with closing(_reader(path)) as conn:
            version = _KINDS[application_id].check(conn, path)
            finding = str(conn.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except (sqlite3.Error, OSError, WrongDatabase, DatabaseNewer) as error:
        raise damaged_backup(path, str(error)) from error
    if version == 0:
        raise damaged_backup(path, "it is empty")
    if finding != "ok":
        raise damaged_backup(path, finding)
    return version


class Source:
    """A backup that is being read, beside the database that it goes into."""

    def __init__(self, conn: sqlite3.Connection, path: Path) -> None:
        self._conn, self._path = conn, path

    def rows(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield what `sql` finds; raises BackupDamaged."""
        try:
            yield from self._conn.execute(sql, values)
        except sqlite3.Error as error:
            raise damaged_backup(self._path, str(error)) from error


@contextmanager
def opened_backup(path: Path) -> Iterator[Source]:
    """Read a checked backup as of one moment; what does not fit the tables that it is written to is damage."""
    try:
        with closing(_reader(path)) as conn:
            conn.execute("BEGIN")
            yield Source(conn, path)
    except (sqlite3.IntegrityError, InvalidMemoryKey) as error:
        raise damaged_backup(path, f"a row does not fit: {error}") from error


def damaged_backup(path: Path, finding: str) -> BackupDamaged:
    """Return the error for a backup of which something is wrong."""
    return BackupDamaged(f"{path} is no sound backup, nothing was changed: {finding}", path=str(path))


def _reader(path: Path) -> sqlite3.Connection:
    """Open a file that may only be read, and whose own code is not trusted."""
    conn = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY, isolation_level=None)
    conn.execute("PRAGMA trusted_schema = OFF")
    conn.execute("PRAGMA cell_size_check = ON")
    return conn
