"""SQLite's errors, and the system's, as the store's own: the one place that knows error codes."""

import errno
import sqlite3
from pathlib import Path
from typing import Final

from .errors import DatabaseCorrupt, DatabaseLocked, DatabaseReadOnly, DiskFull, StoreClosed, StoreError

_Kind = tuple[type[StoreError], str]

_LOCKED: Final[_Kind] = (DatabaseLocked, "is locked by another process; try again, or end that process")
_DAMAGED: Final[_Kind] = (
    DatabaseCorrupt,
    "is damaged and was not repaired; move it away with callboard.store.set_aside and restore a copy",
)
_FULL: Final[_Kind] = (DiskFull, "has no room to grow; nothing was written, free some space and try again")
_READ_ONLY: Final[_Kind] = (DatabaseReadOnly, "may not be written here; check the rights of file and folder")
_OTHER: Final[_Kind] = (StoreError, "could not be used")

_BY_SQLITE: Final[dict[int, _Kind]] = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    # The log's index could not grow: this is how a full disk shows at open.
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    # Nobody interrupts a statement but a database that closes.
    sqlite3.SQLITE_INTERRUPT: (StoreClosed, "was closed while the call ran"),
}
_BY_ERRNO: Final[dict[int, _Kind]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
}


def typed(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """Return the store's own error for `error` on `path`; raise it ``from`` the original."""
    if isinstance(error, OSError):
        kind, advice = _BY_ERRNO.get(error.errno or 0, _OTHER)
        return kind(f"{path} {advice} ({error})", path=str(path))
    # Errors of the binding itself (a closed connection, a wrong parameter) carry no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    kind, advice = _BY_SQLITE.get(code) or _BY_SQLITE.get(code & 0xFF) or _OTHER
    return kind(f"{path} {advice} ({name}: {error})", path=str(path), sqlite=name)


def damaged(path: Path, finding: str) -> DatabaseCorrupt:
    """Return the error for a file in which the check at open found something."""
    return DatabaseCorrupt(f"{path} {_DAMAGED[1]} (quick_check: {finding})", path=str(path))
