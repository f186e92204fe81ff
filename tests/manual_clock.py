"""Time that stands still until a test moves it."""

import heapq
from itertools import count

import anyio


class ManualClock:
    """A :class:`~callboard.clock.Clock` whose seconds pass in :meth:`advance` alone. Starts at an arbitrary date."""

    def __init__(self, *, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._passed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def now(self) -> float:
        """Return the wall-clock time."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return the seconds that were advanced so far."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`; a checkpoint when it is zero."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), woken))
        await woken.wait()

    @property
    def sleepers(self) -> int:
        """How many wait for time to pass."""
        return len(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; who sleeps is woken in order of due time, and each one runs before the next wakes."""
        until = self._passed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            self._passed, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await anyio.wait_all_tasks_blocked()
        self._passed = until

    def jump(self, seconds: float) -> None:
        """Correct the wall clock by `seconds`, as a time server would; nobody wakes and monotonic time stays."""
        self._start += seconds
