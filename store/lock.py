"""Who owns a file: an advisory lock on ``<path>.lock``, held for life.

The kernel frees the lock when its holder dies, however it dies, so the content of the lock file (process id
and start time) is never trusted to decide, only to say who it was. The file is never deleted: between the
deletion and a new creation two processes could each hold a lock on a file of that name.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from callboard.processes import began

from .errors import OwnerConflict
from .faults import typed

_LARGEST_NOTE: Final = 4096


class _Holder(msgspec.Struct, frozen=True, kw_only=True):
    pid: int
    started: int


class OwnerLock:
    """The right to write one file, for one process. Not for threads; never waits.

    It belongs to the open lock file: a child made by fork without exec would share it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises :class:`OwnerConflict` if a living process (this one too) holds it, and another
        :class:`StoreError` if the lock file cannot be made.
        """
        if self._fd is not None:
            raise self._conflict(os.getpid())
        try:
            self._acquire()
        except OSError as error:
            raise typed(error, self.path) from error

    def _acquire(self) -> None:
        while self._fd is None:
            fd = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._lock(fd)
                if _is_at(fd, self.path):
                    _write_note(fd)
                    self._fd = fd
            finally:
                if self._fd is None:
                    os.close(fd)

    def release(self) -> None:
        """Give the lock up; nothing happens when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> "OwnerLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._conflict(_read_note(fd)) from error

    def _conflict(self, pid: int | None) -> OwnerConflict:
        who = "a living process" if pid is None else f"process {pid}"
        path = str(self.path).removesuffix(".lock")
        return OwnerConflict(f"{path} is owned by {who}: end it, or use another state folder", path=path, pid=pid)


def _is_at(fd: int, path: Path) -> bool:
    """Whether `path` still leads to the file that was locked: someone may have deleted it in between."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), path.stat())
    return False


def _write_note(fd: int) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, msgspec.json.encode(_Holder(pid=os.getpid(), started=began(os.getpid()) or 0)), 0)


def _read_note(fd: int) -> int | None:
    """Return the holder's process id if the note is whole and such a process lives; None otherwise."""
    try:
        holder = msgspec.json.decode(os.pread(fd, _LARGEST_NOTE, 0), type=_Holder)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return holder.pid if began(holder.pid) == holder.started else None
