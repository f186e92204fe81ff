"""Opening a database file: looked at first, without a right to write, and only then opened for good.

Closing a connection that may write moves the write-ahead log into the file. A damaged or foreign file must
stay as it was found, so the checks run on a read-only connection: the system itself then refuses any write.
"""

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from .errors import DatabaseReadOnly, StoreClosed
from .faults import damaged, typed
from .lock import OwnerLock
from .migrations import Migrations

Synchronous = Literal["FULL", "NORMAL"]

_LOG_LIMIT: Final = 16 * 1024 * 1024  # bytes of write-ahead log kept after a checkpoint


class Opener:
    """Makes the connection, on the database's thread. Called once, by aiosqlite."""

    def __init__(
        self,
        path: Path,
        migrations: Migrations,
        *,
        synchronous: Synchronous,
        busy_timeout: float,
        lock: OwnerLock | None,
    ) -> None:
        self.path = path
        self.synchronous: Synchronous = synchronous
        self.thread: threading.Thread | None = None
        self.conn: sqlite3.Connection | None = None
        self._migrations = migrations
        self._busy_timeout = busy_timeout
        self._lock = lock
        self._locked = False
        self._cancelled = False

    def __call__(self) -> sqlite3.Connection:
        """Open, check and migrate the file; raise a typed error and hold nothing if that fails."""
        self.thread = threading.current_thread()
        try:
            return self._opened()
        except (sqlite3.Error, OSError) as error:
            raise typed(error, self.path) from error

    def cancel(self) -> None:
        """Let an opening that nobody waits for end early. For other threads."""
        self._cancelled = True
        conn = self.conn
        if conn is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed this very moment: nothing runs
                conn.interrupt()

    def discard(self) -> None:
        """Close what was opened and free the lock; only once the thread has ended."""
        if self.conn is not None:
            self.conn.close()
        if self._lock is not None and self._locked:
            self._lock.release()

    def _opened(self) -> sqlite3.Connection:
        self._check_wanted()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is not None:
            self._lock.acquire()
            self._locked = True
        _create(self.path)
        self._inspect()
        # Not bound to its thread: an opening that was cancelled is closed by another, once this thread has
        # ended.
        self.conn = sqlite3.connect(
            self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        self._configure(self.conn)
        self._migrations.apply(self.conn, self.path)
        self._check_wanted()
        return self.conn

    def _check_wanted(self) -> None:
        if self._cancelled:
            raise StoreClosed(f"opening {self.path} was cancelled", path=str(self.path))

    def _inspect(self) -> None:
        """Refuse a damaged, foreign or newer file before anything may write to it."""
        if self.path.stat().st_size == 0:
            return
        where = f"file:{quote(str(self.path))}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(where, uri=True, timeout=self._busy_timeout, check_same_thread=False)
        ) as conn:
            self.conn = conn
            try:
                self._migrations.check(conn, self.path)
                finding = str(conn.execute("PRAGMA quick_check(1)").fetchone()[0])
            finally:
                self.conn = None
        if finding != "ok":
            raise damaged(self.path, finding)

    def _configure(self, conn: sqlite3.Connection) -> None:
        mode = conn.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise DatabaseReadOnly(f"{self.path} cannot use a write-ahead log here (got {mode!r})", path=str(self.path))
        conn.execute(f"PRAGMA synchronous = {self.synchronous}")
        conn.execute("PRAGMA foreign_keys = ON")
        conn.execute("PRAGMA trusted_schema = OFF")
        conn.execute("PRAGMA cell_size_check = ON")
        conn.execute("PRAGMA mmap_size = 0")
        conn.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
        # SQLite opens a file that it may not write as a read-only one and says so at the first write: ask
        # now.
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("ROLLBACK")


def _create(path: Path) -> None:
    """Make the file, or the rights of one that is there, 0600; SQLite gives the log and its index the same.

    An existing file is never opened here: closing it would drop the locks that SQLite holds on it in this
    process.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
