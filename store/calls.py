"""One function on its way through the database's thread."""

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar, cast

from .faults import typed

T = TypeVar("T")


class Call(Generic[T]):
    """A function, who waits for it, and what came of it.

    Two parties hold a call: the task that waits and the thread that runs it. They let go in any order, and
    the last one gives the place in the queue back: a cancelled caller leaves at once, but its place stays
    taken until the thread has passed the call, so that cancelling cannot make the queue grow.
    """

    __slots__ = ("_leaving", "abandoned", "committed", "done", "error", "fn", "result")

    def __init__(self, fn: Callable[[sqlite3.Connection], T], *, committed: Callable[[T], None] | None = None) -> None:
        self.fn = fn
        self.committed = committed
        self.abandoned = False
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None
        self._leaving = itertools.count()

    def leave(self) -> bool:
        """Let go; True for the second of the two parties. A counter's ``next`` is atomic between threads."""
        return next(self._leaving) == 1

    def run(self, conn: sqlite3.Connection) -> None:
        """Run the function and keep its result or error; never raises."""
        try:
            self.result = self.fn(conn)
        except BaseException as error:  # noqa: BLE001 - it is the caller's: outcome() raises it in the waiting task
            self.error = error

    def settle(self) -> None:
        """Tell the listener that the result is in the file; nothing that failed is told."""
        if self.error is None and self.committed is not None:
            try:
                self.committed(cast("T", self.result))
            except BaseException as error:  # noqa: BLE001 - a bug in the listener reaches the caller, not the thread
                self.error = error

    def outcome(self, path: Path) -> T:
        """Return the result or raise the error, SQLite's own as the store's: the one door of translation."""
        if self.error is None:
            return cast("T", self.result)
        if isinstance(self.error, sqlite3.Error):
            # A group that fails as a whole shares one error: each waiting task gets its own from it.
            raise typed(self.error, path) from self.error
        raise self.error
