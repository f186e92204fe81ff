"""What happens once, and what one task waits for, at a tenth of the weight of an event.

An idle actor is mostly things that wait: at 10,000 of them an anyio event each (1.1 KiB, of which most is the queue of
its waiters) is 11 MiB that nobody needs.
"""

import asyncio

import anyio


class Once:
    """Something that happens once. It makes its event when somebody waits."""

    __slots__ = ("_event", "_happened")

    def __init__(self) -> None:
        self._happened = False
        self._event: anyio.Event | None = None

    def set(self) -> None:
        """Let it happen; once more is no change."""
        self._happened = True
        if self._event is not None:
            self._event.set()

    def is_set(self) -> bool:
        """Return whether it has happened."""
        return self._happened

    async def wait(self) -> None:
        """Wait until it has happened."""
        if not self._happened:
            if self._event is None:
                self._event = anyio.Event()
            await self._event.wait()


class Turn:
    """The turn of the one task that waits for it. Made and waited for on the same event loop."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def set(self) -> None:
        """Let it come; nothing happens if who waited has given up."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        """Wait for it."""
        await self._future
