"""The places of a bounded queue: who finds none waits, in order."""

from collections import deque

import anyio


class Places:
    """Counts places. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._waiting: deque[anyio.Event] = deque()

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._most - self._free

    def take_nowait(self) -> bool:
        """Take a place if one is free; nobody waits while one is."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        """Wait for a place and take it."""
        if self.take_nowait():
            return
        mine = anyio.Event()
        self._waiting.append(mine)
        try:
            await mine.wait()
        except BaseException:
            if mine.is_set():
                self.give(1)
            else:
                self._waiting.remove(mine)
            raise

    def give(self, count: int) -> None:
        """Give places back: those that have waited longest have them at once."""
        self._free += count
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().set()
