"""Letting expired values go while a file is open, a few at a time, so that no commit waits long for it."""

from typing import Final

from callboard.clock import Clock

from .errors import StoreError
from .working_memory import WorkingMemory

SWEEP_EVERY: Final = 60.0
"""Seconds. What has expired is never shown in between; it only takes its room."""
BATCH: Final = 200
"""Values in one transaction."""


class Sweeper:
    """For one memory. `run` is to be a task as long as the file is open."""

    def __init__(self, memory: WorkingMemory, *, clock: Clock) -> None:
        self._memory, self._clock = memory, clock
        self.swept = 0
        """Values that it has let go."""
        self.trouble = ""
        """Why the last sweep failed: a full disk, say. It is tried again."""

    async def run(self) -> None:
        """Sweep now and then until cancelled."""
        while True:
            await self._clock.sleep(SWEEP_EVERY)
            try:
                await self._sweep()
                self.trouble = ""
            except StoreError as error:
                self.trouble = error.text

    async def _sweep(self) -> None:
        gone = BATCH
        while gone == BATCH:
            gone = await self._memory.sweep(BATCH)
            self.swept += gone
