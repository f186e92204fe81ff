"""Asking who else has a name: for a NATS that keeps no leases, and for a holder that needs none, because it is his.

It finds who answers, and nobody who is stopped or cut off. Two that begin at once agree on the lower owner: each
answers the other's question with whether it holds the name or only wants it, and who wants it yields to a lower owner.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import msgspec

from callboard.ids import new_id

from .connection import Connection
from .lease import Holder, held_by
from .subjects import system

_decode = msgspec.json.Decoder(Holder).decode


class RollCall:
    """Answers for one holder of `fleet`. Made by :meth:`open`."""

    def __init__(self, bus: Connection, fleet: str, me: Holder) -> None:
        self._bus, self._fleet, self._me = bus, fleet, me
        self._answers = f"{bus.inbox}.l.{new_id()}"
        self._lost_to: Holder | None = None
        self._lost = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Connection, fleet: str, me: Holder) -> "AsyncGenerator[RollCall]":
        """Answer for the time of the block."""
        call = cls(bus, fleet, me)
        question = await bus.subscribe(system(fleet, "lease"), call._asked)
        answers = await bus.subscribe(call._answers, call._heard)
        await bus.flush()
        try:
            yield call
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1.0):
                await question.unsubscribe()
                await answers.unsubscribe()

    async def claim(self, *, within: float) -> None:
        """Ask for `within` seconds, and hold the name from then on; raise :class:`LeaseHeld` if another does."""
        self._bus.publish(system(self._fleet, "lease", sender="daemon"), self._said(), reply=self._answers)
        with anyio.move_on_after(within):
            await self._lost.wait()
        if self._lost_to is not None:
            raise held_by(self._fleet, self._lost_to)
        self._me = msgspec.structs.replace(self._me, state="holds")

    def _said(self) -> bytes:
        return msgspec.json.encode(self._me)

    def _asked(self, _subject: str, data: bytes, reply: str) -> None:
        other = _decode(data)
        if other.owner != self._me.owner:
            self._weigh(other)
            self._bus.publish(reply, self._said())

    def _heard(self, _subject: str, data: bytes, _reply: str) -> None:
        self._weigh(_decode(data))

    def _weigh(self, other: Holder) -> None:
        if yields(self._me, other):
            self._lost_to = other
            self._lost.set()


def yields(me: Holder, other: Holder) -> bool:
    """Return whether `me` gives way: one that holds never does; one that wants does to a holder and a lower owner."""
    if me.state == "holds" or me.owner == other.owner:
        return False
    return other.state == "holds" or other.owner < me.owner
