"""Calling again what fails for a while: a file that is locked, a disk that is full, a queue that has no room.

What is wrong is said when it begins, not at each call. What will not pass by itself is raised: to call again then would
be a loop that nobody hears of.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from callboard.bus import BusClosed
from callboard.clock import Clock
from callboard.errors import CallboardError, CallerError
from callboard.store import DatabaseCorrupt, DatabaseNewer, Fenced, StoreClosed, WrongDatabase

from .work import Reporter

T = TypeVar("T")

PAUSE: Final = 1.0
"""Seconds between two calls."""
LOST: Final = (Fenced, DatabaseCorrupt, DatabaseNewer, WrongDatabase, StoreClosed, BusClosed)
"""Errors of a file, or a bus, that this life will not have again, however long it waits."""
_LASTING: Final = (*LOST, CallerError)


class Patience:
    """Of one actor, with one thing that may fail for a while; `kind` is the event that says so."""

    def __init__(self, kind: str, actor: str, *, clock: Clock, reporter: Reporter) -> None:
        self._kind, self._actor, self._clock, self._reporter = kind, actor, clock, reporter
        self._trouble = ""
        """What was said of it; it is over when a call works at once."""

    async def until_done(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it works, and return what it returned; raises what lasts."""
        waited = False
        while True:
            try:
                done = await call()
            except _LASTING:
                raise
            except CallboardError as error:
                self._say(what, error)
                await self._clock.sleep(PAUSE)
                waited = True
            else:
                self._trouble = self._trouble if waited else ""
                return done

    def _say(self, what: str, error: CallboardError) -> None:
        if error.code != self._trouble:
            self._trouble = error.code
            self._reporter.report(self._kind, self._actor, f"{what} waits: {error.text}", code=error.code)
