"""What the rest of the project may expect of a bus: the seam behind which NATS lives.

Guarantees, the same for every transport and held by one contract suite (tests/contracts):

- Messages published by one bus object to one subject reach each subscriber in the order of publishing.
- A receiver is called on the event loop, one message at a time, and must not block; it may publish.
- Of several subscribers with the same queue name exactly one gets each message.
- A message published with a reply address that nobody could receive comes back at once, empty, at that address.
- Nothing waits forever: what cannot be sent raises, what is cut off ends the bus with a reason.
- Delivery is at most once. What must not be lost is stored by those above.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from .queue import WorkQueue

INBOX_ROOT: Final = "_CB"
END_WITHIN: Final = 2.0
"""Seconds in which the server confirms that an interest has ended."""
# Exactly those that a cell may publish to: what the server refuses is a trespass of who answers, not of who has asked.
_INBOX: Final = re.compile(rf"{INBOX_ROOT}\.[0-9A-Za-z]+\.r")
_RETURN: Final = re.compile(rf"{INBOX_ROOT}\.[0-9A-Za-z]+\.n\.[0-9]+")
_OUTSIDE: Final = re.compile(r"_INBOX(\.[0-9A-Za-z_-]+)+")


@lru_cache(maxsize=4096)
def is_inbox(address: str) -> bool:
    """Return whether `address` is an endpoint's: anything else could be a mailbox, spoken to in our name."""
    return _INBOX.fullmatch(address) is not None


def is_return(address: str) -> bool:
    """Return whether `address` is where an endpoint hears that nobody is at an address."""
    return _RETURN.fullmatch(address) is not None


@lru_cache(maxsize=4096)
def is_outside(address: str) -> bool:
    """Return whether `address` is where another NATS client hears replies."""
    return _OUTSIDE.fullmatch(address) is not None


Receiver = Callable[[str, bytes, str], None]
"""Takes subject, data and reply address of one message."""


class BusStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the bus was opened, and bytes waiting to be written."""

    sent: int
    received: int
    reconnects: int
    refused: int
    pending_bytes: int


class Subscription(Protocol):
    """Interest in a subject."""

    async def unsubscribe(self) -> None:
        """End the interest; returns when all that the server had given to it was received.

        So nothing is lost when an address passes from one subscriber of a queue to another. When the connection is cut
        meanwhile, what was under way is; when the server does not answer within two seconds, it may be delivered later.
        """
        ...


class Bus(Protocol):
    """One connection to the fleet's bus."""

    inbox: str
    """Own, unguessable prefix for replies."""
    max_payload: int
    """Bytes one message may have."""

    def publish(self, subject: str, data: bytes, *, reply: str = "") -> None:
        """Hand over one message without waiting.

        Raises:
            MessageTooLarge: more than ``max_payload``.
            InvalidSubject: `subject` or `reply` is empty, or holds a blank, a control character or a wildcard.
            BusUnavailable: cut off, and the buffer for reconnecting is full.
            BusClosed: this bus has ended.

        """
        ...

    def cork(self) -> None:
        """Hold back what is published from now on until :meth:`push`, which must follow in the same turn."""
        ...

    def push(self) -> None:
        """Hand what was published to the operating system now, not at the end of the turn, if it takes it at once."""
        ...

    @property
    def congested(self) -> bool:
        """Whether so much waits to be written that senders should :meth:`settle` first."""
        ...

    async def settle(self) -> None:
        """Wait until what was published is handed to the operating system, or 10 seconds passed."""
        ...

    async def flush(self, *, timeout: float = 5.0) -> None:
        """Wait for a round trip: the server has seen everything published and subscribed before."""
        ...

    async def subscribe(self, subject: str, receiver: Receiver, *, queue: str = "") -> Subscription:
        """Call `receiver` for each message on `subject`, which may have wildcards."""
        ...

    @property
    def queue(self) -> WorkQueue:
        """The durable queues of the fleet."""
        ...

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each reconnect: messages in between are lost."""
        ...

    async def wait_closed(self) -> str:
        """Wait until this bus has ended; return why."""
        ...

    def statistics(self) -> BusStatistics:
        """Return counts."""
        ...
