"""One function on its way through the database's thread."""

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


class Call(msgspec.Struct, Generic[T], eq=False):
    """A function, or one item of a joined change; who waits for it, and what came of it."""

    future: asyncio.Future[T]
    writes: bool
    fn: Callable[[sqlite3.Connection], T] | None = None
    told: Callable[[T], None] | None = None
    joined: Joined[Any, T] | None = None
    item: Any = None
    passed: bool = False
    """The thread has nothing more to do with it."""
    result: T | None = None
    error: BaseException | None = None

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more. For the thread too: a future is cancelled in one step."""
        return self.future.cancelled()

    def deliver(self, path: Path) -> None:
        """Give what came of it to who waits, SQLite's errors as the store's: the one door of translation."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # a call without an error has its result
        else:
            self.future.set_exception(_outward(self.error, path))


def _outward(error: BaseException, path: Path) -> BaseException:
    """Return what the waiting task is to raise. A group that fails as a whole shares one error: each gets its own."""
    if isinstance(error, sqlite3.Error):
        mine: BaseException = typed(error, path)
    elif isinstance(error, StopIteration):  # a future refuses it
        mine = RuntimeError("a function raised StopIteration")
    else:
        return error
    mine.__cause__ = error
    return mine
