"""Time as a collaborator: whoever needs the time is given a :class:`Clock`.

Durations and intervals use :meth:`Clock.monotonic`; deadlines that cross processes use :meth:`Clock.now`.
"""

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the time is, and how to wait for it. All values are seconds."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`; a checkpoint even when it is zero."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Return the wall-clock time."""
        return time.time()

    def monotonic(self) -> float:
        """Return the monotonic time."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await anyio.sleep(seconds)
