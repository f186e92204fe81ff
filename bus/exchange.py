"""The addresses of one process: what its own actors and callers say to each other does not cross the server.

Frames pass as bytes, through the same codec, doors and inboxes as those from the wire; only the way is shorter. Who
opens an address here opens it before the server hears of it, so what a neighbour says to it never overtakes itself on
two ways.
"""

import logging
from typing import Final

from .interface import Receiver

_log: Final = logging.getLogger("callboard.bus")


class Exchange:
    """For one event loop, shared by the endpoints in it."""

    def __init__(self) -> None:
        self._mailboxes: dict[str, Receiver] = {}
        self._inboxes: dict[str, Receiver] = {}
        self.passed = self.refused = 0
        """Frames that were passed on, and those at which a receiver failed."""

    def open_mailbox(self, address: str, receiver: Receiver) -> None:
        """Give `receiver` all that is said here to the mailbox `address`, whoever says it."""
        self._mailboxes[address] = receiver

    def open_inbox(self, address: str, receiver: Receiver) -> None:
        """Give `receiver` the replies that are sent here to the inbox `address`."""
        self._inboxes[address] = receiver

    def close(self, address: str, receiver: Receiver) -> None:
        """Let what is said to `address` take the long way again, if it still belongs to `receiver`."""
        for addresses in (self._mailboxes, self._inboxes):
            if addresses.get(address) == receiver:
                del addresses[address]

    def find(self, subject: str) -> Receiver | None:
        """Return who is at a subject here: a mailbox's ends with the sending cell, an inbox's is the address."""
        return self._inboxes.get(subject) or self._mailboxes.get(subject.rpartition(".")[0])

    def pass_on(self, receiver: Receiver, subject: str, data: bytes) -> None:
        """Hand a frame over; as on the wire, nothing that it does harms who sent it."""
        self.passed += 1
        try:
            receiver(subject, data, "")
        except Exception:  # noqa: BLE001 - counted and logged, never the end of the sender
            self.refused += 1
            _log.exception("a receiver failed on %r", subject[:120])
