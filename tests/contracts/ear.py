"""A receiver that remembers, and lets a test wait until it has heard enough."""

from collections.abc import Callable

import anyio

WITHIN = 5.0


class Ear:
    """Give :meth:`hear` to a subscription."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes, str]] = []
        self._changed = anyio.Event()

    def hear(self, subject: str, data: bytes, reply: str) -> None:
        """Take one message."""
        self.heard.append((subject, data, reply))
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def data(self) -> list[bytes]:
        """The bytes of all messages so far."""
        return [data for _, data, _ in self.heard]

    async def wait(self, count: int, *, within: float = WITHIN) -> list[bytes]:
        """Wait until `count` messages came; return the bytes of all."""
        await self.wait_until(lambda: len(self.heard) >= count, within=within)
        return self.data

    async def wait_until(self, done: Callable[[], bool], *, within: float = WITHIN) -> None:
        """Wait for a condition that only a message can make true."""
        with anyio.fail_after(within):
            while not done():
                await self._changed.wait()
