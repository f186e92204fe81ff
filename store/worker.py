"""What runs on the database's one thread: groups of writes, and reads between them.

Writes that wait at the same moment are committed together, since one sync of the disk costs as much as fifty
small writes. Each keeps its own savepoint, so to its caller it is still a transaction of its own: its
exception undoes its own changes alone, and it returns only after the COMMIT. What they share is the end: if
the disk refuses the COMMIT, all of the group fail and none of them is in the file.
"""

import contextlib
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from .calls import Call, Joint
from .errors import StoreClosed, StoreError

GROUP: Final = 128

AnyCall = Call[Any] | Joint[Any, Any]


class Worker:
    """The thread's side of a :class:`Database`. For other threads: only `abort`."""

    def __init__(self, conn: sqlite3.Connection, path: Path) -> None:
        self._conn = conn
        self._path = path
        self._aborting = False

    def abort(self) -> None:
        """Stop what runs and refuse what waits."""
        self._aborting = True
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed this very moment: nothing runs
            self._conn.interrupt()

    def serve(self, calls: list[AnyCall]) -> Iterator[list[AnyCall]]:
        """Run all, and yield those that are passed as it comes to them. The first write takes those after it along."""
        writes = deque(call for call in calls if call.writes)
        for call in calls:
            while not call.passed:
                group = _taken(writes) if call.writes else [call]
                if call.writes:
                    self._commit(group)
                elif self._is_wanted(call):
                    self._read(call)
                for each in group:
                    each.passed = True
                yield group

    def _read(self, call: AnyCall) -> None:
        """Run `call` outside any transaction; ``query_only`` makes a write in it an error."""
        self._conn.execute("PRAGMA query_only = 1")
        try:
            call.attempt(self._conn)
            self._undo()
        finally:
            self._conn.execute("PRAGMA query_only = 0")

    def _is_wanted(self, call: AnyCall) -> bool:
        if not self._aborting and call.wanted:
            return True
        call.fail(StoreClosed(f"{self._path} was closed before the call was run", path=str(self._path)))
        return False

    def _commit(self, calls: Sequence[AnyCall]) -> None:
        group = [call for call in calls if self._is_wanted(call)]
        if not group:
            return
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            self._run_all(group)
            self._conn.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - it goes to every caller of the group
            for call in group:
                call.fail(error)
        finally:
            self._undo()
        for call in group:
            call.settle()

    def _run_all(self, group: list[AnyCall]) -> None:
        if len(group) == 1 and group[0].places == 1:  # its savepoint is the transaction
            error = group[0].attempt(self._conn)
            self._check_transaction(error)
            if error is not None:
                raise error
            return
        for call in group:
            if self._is_wanted(call):
                self._run(call)

    def _run(self, call: AnyCall) -> None:
        """Run one in its own savepoint; a joint that fails, its items each by itself."""
        self._conn.execute("SAVEPOINT one_call")
        error = call.attempt(self._conn)
        self._check_transaction(error)
        if error is not None:
            self._conn.execute("ROLLBACK TO one_call")
        self._conn.execute("RELEASE one_call")
        for part in () if error is None else call.apart():
            self._run(part)

    def _check_transaction(self, error: BaseException | None) -> None:
        """Raise if a call has lost us the transaction.

        On a full disk or a failing one SQLite may end the whole of it; so may a function that commits.
        """
        if self._conn.in_transaction:
            return
        if isinstance(error, sqlite3.Error):
            raise error
        why = f"after {error!r}" if error else "by a function that ran COMMIT or ROLLBACK itself"
        raise StoreError(f"{self._path}: the transaction was ended early, {why}", path=str(self._path))

    def _undo(self) -> None:
        if self._conn.in_transaction:
            self._conn.execute("ROLLBACK")


def _taken(writes: deque[AnyCall]) -> list[AnyCall]:
    """Take the next group: about GROUP places."""
    group, places = [writes.popleft()], 0
    while writes and (places := places + group[-1].places) < GROUP:
        group.append(writes.popleft())
    return group
