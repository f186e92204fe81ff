"""A batch in the mailbox: messages of one sender and type that wait together, and are worked through in order.

They stay in the mailbox while that goes on: `at` is the place of the next one, `end` the place behind the last. Whoever
takes the rest elsewhere (a hold, a close, a look at the ids) takes it by setting `end`, and the replica stops there.
"""

from typing import Any

import anyio
import msgspec

from callboard.bus import Batch, bodies_of, envelope_at, id_at

from .hand import InHand
from .letter import Letter


class Run(msgspec.Struct, eq=False, gc=False):
    """One batch, and how far it has come."""

    batch: Batch
    cell: str
    trust: int
    size: int
    """Bytes of all bodies together."""
    slot: int
    """Of its first message in the flight record; 0 where that has no room for it."""
    until: float
    end: int
    at: int = 0
    counted: int = 0
    """How many of it the mailbox has counted as taken."""
    credited: int = 0
    """For how many of it the sender has its credit back."""
    messages: list[Any] | None = None
    """Decoded, once somebody works through it."""
    bodies: list[msgspec.Raw] | None = None
    reader: Any = None
    """Who works through it."""
    handler: Any = None
    """The coroutine of the one in hand: where it stands is the evidence if it comes no further."""
    hand: InHand | None = None
    """The one in hand, if anybody asked."""

    def letter(self, place: int) -> Letter:
        """Return one of its messages as a letter of its own."""
        if self.bodies is None:
            self.bodies = bodies_of(self.batch)
        body = self.bodies[place]
        envelope, size = envelope_at(self.batch, place, body), len(memoryview(body))
        return Letter(envelope, self.cell, self.trust, size, "", "", self.slot_at(place), self.until)

    def slot_at(self, place: int) -> int:
        """Return where the flight record has one of its messages."""
        return self.slot + place if self.slot else 0

    def holds(self, message_id: str) -> bool:
        """Return whether a message of this batch has this id."""
        return message_id.startswith(self.batch.base)

    def rest(self) -> list[Letter]:
        """Take out what nobody has begun, as letters."""
        letters = [self.letter(place) for place in range(self.at, self.end)]
        self.end = self.at
        return letters

    def bytes_until(self, place: int) -> int:
        """Return how many bytes the messages before `place` count for: the same for each, all together exact."""
        return self.size * place // self.batch.count

    def in_hand(self, place: int, now: float, scope: anyio.CancelScope) -> InHand:
        """Return the message at `place` as it is in hand; the same one while it is."""
        if self.hand is None or self.hand.letter.envelope.id != id_at(self.batch, place):
            self.hand = InHand(self.letter(place), now, scope, now, self.until, self.handler)
        return self.hand
