"""What runs on the database's one thread: groups of writes, and reads between them.

Writes that wait at the same moment are committed together, since one sync of the disk costs as much as fifty
small writes. Each keeps its own savepoint, so to its caller it is still a transaction of its own: its
exception undoes its own changes alone, and it returns only after the COMMIT. What they share is the end: if
the disk refuses the COMMIT, all of the group fail and none of them is in the file.

A *unit* is what has a savepoint: a function, or neighbours that are items of one joined change. If that fails for
several, each is tried alone.
"""

import contextlib
import sqlite3
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from .calls import Call
from .errors import StoreClosed, StoreError

GROUP: Final = 128

Unit = list[Call[Any]]


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

    def serve(self, calls: list[Call[Any]]) -> Iterator[list[Call[Any]]]:
        """Run all, and yield those that are passed as it comes to them. The first write takes those after it along."""
        writes = deque(call for call in calls if call.writes)
        for call in calls:
            while not call.passed:
                if call.writes:
                    group = [writes.popleft() for _ in range(min(GROUP, len(writes)))]
                    self._commit([each for each in group if not self._refused(each)])
                else:
                    group = [call]
                    self._read(call)
                for each in group:
                    each.passed = True
                yield group

    def _read(self, call: Call[Any]) -> None:
        """Run `call` outside any transaction; ``query_only`` makes a write in it an error."""
        if not self._refused(call):
            self._conn.execute("PRAGMA query_only = 1")
            try:
                self._attempt([call])
                self._undo()
            finally:
                self._conn.execute("PRAGMA query_only = 0")

    def _refused(self, call: Call[Any]) -> bool:
        if self._aborting or call.abandoned:
            call.error = StoreClosed(f"{self._path} was closed before the call was run", path=str(self._path))
        return call.error is not None

    def _commit(self, group: list[Call[Any]]) -> None:
        if not group:
            return
        done = list[Unit]()
        try:
            self._conn.execute("BEGIN IMMEDIATE")
            for unit in _units(group):
                done += self._run([call for call in unit if not self._refused(call)], alone=len(group) == 1)
            self._conn.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - it goes to every caller of the group
            for call in group:
                call.error = call.error or error
            done = []
        finally:
            self._undo()
        for unit in done:
            _settle(unit)

    def _run(self, unit: Unit, *, alone: bool = False) -> list[Unit]:
        """Run a unit in its own savepoint, which one that is alone does not need; return what succeeded."""
        if not unit:
            return []
        if not alone:
            self._conn.execute("SAVEPOINT one_unit")
        error = self._attempt(unit)
        if not self._conn.in_transaction:
            # On a full disk or a failing one SQLite may end the whole transaction; so may a function that
            # commits.
            raise self._lost(error)
        if alone and error is not None:
            raise error  # it is the call's own already, and so all of the transaction is undone
        if alone:
            return [unit]
        if error is not None:
            self._conn.execute("ROLLBACK TO one_unit")
        self._conn.execute("RELEASE one_unit")
        if error is None:
            return [unit]
        return [each for call in unit for each in self._again(call)] if len(unit) > 1 else []

    def _again(self, call: Call[Any]) -> list[Unit]:
        call.error = None
        return self._run([call])

    def _attempt(self, unit: Unit) -> BaseException | None:
        """Run a unit's function and keep its result or error with each call; never raises."""
        first, result, error = unit[0], None, None
        try:
            if first.joined is not None:
                result = first.joined.run(self._conn, [call.item for call in unit])
            elif first.fn is not None:
                result = first.fn(self._conn)
        except BaseException as raised:  # noqa: BLE001 - it is the caller's, and raised in the waiting task
            error = raised
        for call in unit:
            call.result, call.error = result, error
        return error

    def _lost(self, error: BaseException | None) -> BaseException:
        if isinstance(error, sqlite3.Error):
            return error
        why = f"after {error!r}" if error else "by a function that ran COMMIT or ROLLBACK itself"
        return StoreError(f"{self._path}: the transaction was ended early, {why}", path=str(self._path))

    def _undo(self) -> None:
        if self._conn.in_transaction:
            self._conn.execute("ROLLBACK")


def _units(group: list[Call[Any]]) -> list[Unit]:
    """Return neighbours of one joined change together, and all others alone."""
    found = list[Unit]()
    for joined, calls in groupby(group, key=attrgetter("joined")):
        neighbours = list(calls)
        found += [[call] for call in neighbours] if joined is None else [neighbours]
    return found


def _settle(unit: Unit) -> None:
    """Tell the listener that a result is in the file; nothing that failed is told."""
    first = unit[0]
    try:
        if first.joined is not None:
            first.joined.committed([call.item for call in unit], first.result)
        elif first.told is not None:
            first.told(first.result)
    except BaseException as error:  # noqa: BLE001 - a bug in the listener reaches the caller, not the thread
        for call in unit:
            call.error = error
