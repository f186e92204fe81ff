"""Credit: how many messages one connection may have waiting at one actor, so that a fast sender slows down, not out.

A sender holds an account for each actor it tells. A tell takes credit; the actor's cell gives it back, in batches, when
the message leaves the mailbox. Without credit ``tell`` waits. When an actor dies what it held is gone and so is what it
owed: the account is reset. (The idea is Pekko's reliable delivery without the resending.)
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import anyio

from .envelope import CreditBody
from .interface import is_inbox

MESSAGES: Final = 1024
BYTES: Final = 4 * 1024 * 1024
RETURN_AT: Final = 256
"""Messages taken before credit is returned without waiting for the timer: a quarter, so that no sender runs dry."""
_RETURN_BYTES: Final = BYTES // 4
RETURN_WITHIN: Final = 0.005
"""Seconds that returned credit may wait for company."""


Later = Callable[[float, Callable[[], None]], object]
"""Calls something after so many seconds."""


def _on_the_loop(seconds: float, call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, call)


class Account:
    """The sender's side. `messages` and `bytes` bound what may be under way at once; one message always may."""

    def __init__(self, *, messages: int = MESSAGES, bytes: int = BYTES) -> None:  # noqa: A002 - the unit is the name
        self._most_messages, self._most_bytes = messages, bytes
        self.messages = 0
        self.bytes = 0
        self.names: deque[str] = deque()
        """The ids of messages that took credit, until it comes back; who sends one notes it here."""
        self._waiting: deque[tuple[anyio.Event, int]] = deque()

    def _fits(self, size: int) -> bool:
        return self.messages == 0 or (self.messages < self._most_messages and self.bytes + size <= self._most_bytes)

    def _charge(self, size: int) -> None:
        self.messages += 1
        self.bytes += size

    def take_nowait(self, size: int) -> bool:
        """Take credit for one message of `size` bytes if there is some and nobody waits before us."""
        held = self.messages
        if self._waiting or (held and (held >= self._most_messages or self.bytes + size > self._most_bytes)):
            return False
        self.messages = held + 1
        self.bytes += size
        return True

    async def take(self, size: int) -> None:
        """Take credit, waiting for it in order of arrival. When cancelled, nothing was taken."""
        if self.take_nowait(size):
            return
        turn = anyio.Event()
        self._waiting.append((turn, size))
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._release(1, size)
            else:
                self._waiting.remove((turn, size))
                self._serve()  # those behind may be smaller
            raise

    def _serve(self) -> None:
        while self._waiting and self._fits(self._waiting[0][1]):
            turn, size = self._waiting.popleft()
            self._charge(size)
            turn.set()

    def give(self, messages: int, size: int) -> None:
        """Return credit for `messages` of `size` bytes together."""
        for _ in range(min(messages, len(self.names))):
            self.names.popleft()  # in the order in which it was taken, but for what a door refused
        self._release(messages, size)

    def _release(self, messages: int, size: int) -> None:
        self.messages = max(0, self.messages - messages)
        self.bytes = max(0, self.bytes - size) if self.messages else 0
        self._serve()

    def reset(self) -> list[str]:
        """Forget what is under way, as who held it is gone; return its ids: nobody has said that these were taken."""
        names = list(self.names)
        self.names.clear()
        self.give(self.messages, self.bytes)
        return names


class Returns:
    """The receiver's side: what was taken from the mailbox and not yet given back, for each reply address and actor."""

    def __init__(self, send: Callable[[str, CreditBody], None], *, later: "Later | None" = None) -> None:
        self._send, self._later = send, later or _on_the_loop
        self._taken: dict[tuple[str, str], list[int]] = {}
        self._address = self._actor = ""
        self._latest = [0, 0]
        self._scheduled = False

    def add(self, address: str, actor: str, size: int, messages: int = 1) -> None:
        """Count `messages` of `size` bytes together; all that is counted is returned soon, or once it is much."""
        taken = self._latest
        if address != self._address or actor != self._actor:  # most often it is the same sender again
            if not is_inbox(address):
                return  # an address of somebody else's making: no credit was taken there
            self._address, self._actor = address, actor
            taken = self._latest = self._taken.setdefault((address, actor), [0, 0])
        taken[0] += messages
        taken[1] += size
        if taken[0] >= RETURN_AT or taken[1] >= _RETURN_BYTES:
            self._return()
        elif not self._scheduled:
            self._scheduled = True
            self._later(RETURN_WITHIN, self._return)

    def _return(self) -> None:
        self._scheduled = False
        taken, self._taken = self._taken, {}
        self._address = self._actor = ""
        for (address, actor), (count, size) in taken.items():
            self._send(address, CreditBody(actor, count, size))
