"""What runs on the database's one thread: groups of writes, and reads between them.

Writes that wait at the same moment are committed together, since one sync of the disk costs as much as fifty
small writes. Each keeps its own savepoint, so to its caller it is still a transaction of its own: its
exception undoes its own changes alone, and it returns only after the COMMIT. What they share is the end: if
the disk refuses the COMMIT, all of the group fail and none of them is in the file.

Every write is queued here and has one entry in the thread's queue. The first entry takes all that waits (up
to ``GROUP``); the entries of those that it served find them done and return at once.
"""

import contextlib
import sqlite3
from collections import deque
from pathlib import Path
from typing import Any, Final

from .calls import Call
from .errors import StoreClosed, StoreError

GROUP: Final = 128


class Worker:
    """The thread's side of a :class:`Database`. For other threads: only `queue` and `abort`."""

    def __init__(self, conn: sqlite3.Connection, path: Path) -> None:
        self._conn = conn
        self._path = path
        self._waiting: deque[Call[Any]] = deque()
        self._aborting = False

    def queue(self, call: Call[Any]) -> None:
        """Let a write take part in the next group."""
        self._waiting.append(call)

    def abort(self) -> None:
        """Stop what runs and refuse what waits."""
        self._aborting = True
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed this very moment: nothing runs
            self._conn.interrupt()

    def serve_write(self, call: Call[Any]) -> None:
        """Commit groups until `call` has been in one. Groups are taken in order, so one is enough."""
        while not call.done:
            self._commit(self._group())

    def serve_read(self, call: Call[Any]) -> None:
        """Run `call` outside any transaction; ``query_only`` makes a write in it an error."""
        if not self._refused(call):
            self._conn.execute("PRAGMA query_only = 1")
            try:
                call.run(self._conn)
                self._undo()
            finally:
                self._conn.execute("PRAGMA query_only = 0")
        call.done = True

    def _group(self) -> list[Call[Any]]:
        taken = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        for call in taken:
            call.done = self._refused(call)
        return [call for call in taken if not call.done]

    def _refused(self, call: Call[Any]) -> bool:
        if self._aborting or call.abandoned:
            call.error = StoreClosed(f"{self._path} was closed before the call was run", path=str(self._path))
        return call.error is not None

    def _commit(self, group: list[Call[Any]]) -> None:
        if not group:
            return
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            for call in group:
                if not self._refused(call):
                    self._run(call)
            self._conn.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - it goes to every caller of the group
            for call in group:
                call.error = call.error or error
        finally:
            self._undo()
        for call in group:
            call.settle()
            call.done = True

    def _run(self, call: Call[Any]) -> None:
        """Run one write of a group in its own savepoint."""
        self._conn.execute("SAVEPOINT one_call")
        call.run(self._conn)
        if not self._conn.in_transaction:
            # On a full disk or a failing one SQLite may end the whole transaction; so may a function that
            # commits.
            raise self._lost(call.error)
        if call.error is not None:
            self._conn.execute("ROLLBACK TO one_call")
        self._conn.execute("RELEASE one_call")

    def _lost(self, error: BaseException | None) -> BaseException:
        if isinstance(error, sqlite3.Error):
            return error
        why = f"after {error!r}" if error else "by a function that ran COMMIT or ROLLBACK itself"
        return StoreError(f"{self._path}: the transaction was ended early, {why}", path=str(self._path))

    def _undo(self) -> None:
        if self._conn.in_transaction:
            self._conn.execute("ROLLBACK")
