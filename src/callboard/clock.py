"""Time as a collaborator: whoever needs the time is given a :class:`Clock`.

Durations and limits use :meth:`Clock.monotonic`; what people read and what outlives a boot uses :meth:`Clock.now`.
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
    """The machine's own clock. Its times are asked twice for each message: no call of ours stands in between."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await anyio.sleep(seconds)
