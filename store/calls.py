"""What is on its way through the thread of the database: a function or a joined change, and who waits for it."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from .faults import typed

T = TypeVar("T")
Item = TypeVar("Item")


class Joined(Protocol[Item, T]):
    """A change that costs less for many items at once than for each alone, such as one statement for all rows."""

    def run(self, conn: sqlite3.Connection, items: list[Item]) -> T:
        """Make the change; called again for each item alone if it raises for several."""
        ...

    def committed(self, items: list[Item], result: T) -> None:
        """Called on the thread between the COMMIT and the next function."""
        ...


class Call(msgspec.Struct, Generic[T], eq=False, gc=False):
    """A function. Whether its caller has gone is asked of the future, which is cancelled in one step."""

    future: asyncio.Future[T]
    fn: Callable[[sqlite3.Connection], T]
    writes: bool
    told: Callable[[T], None] | None = None
    places: int = 1
    passed: bool = False
    """The thread has nothing more to do with it."""
    result: T | None = None
    error: BaseException | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for it."""
        return not self.future.cancelled()

    def attempt(self, conn: sqlite3.Connection) -> BaseException | None:
        """Run it, and keep and return its error; never raises."""
        try:
            self.result = self.fn(conn)
        except BaseException as error:  # noqa: BLE001 - it is the caller's: raised in the waiting task
            self.error = error
        return self.error

    def apart(self) -> "list[Joint[Any, Any]]":
        """Return what can be tried by itself when this has failed."""
        return []

    def fail(self, error: BaseException) -> None:
        """Let it fail with its group, unless it has failed by itself."""
        self.error = self.error or error

    def settle(self) -> None:
        """Tell the listener that the result is in the file; nothing that failed is told."""
        if self.told is not None and self.error is None:
            try:
                self.told(self.result)  # type: ignore[arg-type]  # without an error there is a result
            except BaseException as error:  # noqa: BLE001 - a bug in the listener reaches the caller, not the thread
                self.error = error

    def deliver(self, path: Path) -> None:
        """Give what came of it to who waits."""
        if self.error is not None:
            _raise_in(self.future, self.error, path)
        elif not self.future.done():
            self.future.set_result(self.result)  # type: ignore[arg-type]  # the same


class Joint(msgspec.Struct, Generic[Item, T], eq=False, gc=False):
    """The items of one joined change that were wanted at the same moment."""

    joined: Joined[Item, T]
    items: list[Item]
    futures: list[asyncio.Future[T]]
    writes: bool = True
    places: int = 1
    passed: bool = False
    result: T | None = None
    error: BaseException | None = None
    parts: "list[Joint[Item, T]]" = []

    def add(self, item: Item, future: asyncio.Future[T]) -> None:
        """Take one more along. For the event loop, until it crosses."""
        self.items.append(item)
        self.futures.append(future)
        self.places += 1

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for it; the items of those who have gone are left out."""
        for future in self.futures:
            if future.cancelled():
                self._leave_out()
                break
        return bool(self.items)

    def _leave_out(self) -> None:
        both = [(i, f) for i, f in zip(self.items, self.futures, strict=True) if not f.cancelled()]
        self.items, self.futures = [item for item, _ in both], [future for _, future in both]

    def attempt(self, conn: sqlite3.Connection) -> BaseException | None:
        """Make the change for all items, and keep and return its error; never raises."""
        try:
            self.result = self.joined.run(conn, self.items)
        except BaseException as error:  # noqa: BLE001 - as above
            self.error = error
        return self.error

    def apart(self) -> "list[Joint[Item, T]]":
        """Return each item by itself, if there are several; what came of them is delivered instead of this."""
        if len(self.items) > 1:
            both = zip(self.items, self.futures, strict=True)
            self.parts = [Joint(self.joined, [item], [future]) for item, future in both]
        return self.parts

    def fail(self, error: BaseException) -> None:
        """Let all fail with their group."""
        self.error = self.error or error
        for part in self.parts:
            part.fail(error)

    def settle(self) -> None:
        """Tell of what is in the file."""
        for part in self.parts:
            part.settle()
        if self.error is None:
            try:
                self.joined.committed(self.items, self.result)  # type: ignore[arg-type]  # without an error there is one
            except BaseException as error:  # noqa: BLE001 - as above
                self.error = error

    def deliver(self, path: Path) -> None:
        """Give what came of it to all who wait."""
        if self.parts:
            for part in self.parts:
                part.deliver(path)
        elif self.error is not None:
            for future in self.futures:
                _raise_in(future, self.error, path)
        else:
            result = self.result
            for future in self.futures:
                if not future.done():
                    future.set_result(result)  # type: ignore[arg-type]  # the same


def _raise_in(future: asyncio.Future[Any], error: BaseException, path: Path) -> None:
    """Raise an error in the waiting task, SQLite's own as the store's: the one door of translation."""
    mine = error
    if isinstance(error, sqlite3.Error):
        # A group that fails as a whole shares one error: each waiting task gets its own from it.
        mine = typed(error, path)
        mine.__cause__ = error
    elif isinstance(error, StopIteration):  # a future refuses it
        mine = RuntimeError("the function raised StopIteration")
        mine.__cause__ = error
    if not future.done():
        future.set_exception(mine)
