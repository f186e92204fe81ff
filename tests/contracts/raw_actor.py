"""Somebody at an actor's address who speaks the wire format by hand and does exactly what a test says."""

from collections.abc import Callable
from typing import Any

import anyio
import msgspec

from callboard.bus import (
    VERSION,
    Bus,
    CreditBody,
    Envelope,
    Exchange,
    Kind,
    MessageRefused,
    Subscription,
    decode_body,
    encode,
    error_body,
    split,
    subjects,
)
from callboard.errors import CallboardError
from callboard.ids import new_id

from .ear import WITHIN

_ids = msgspec.msgpack.Decoder(list[str])


def said(kind: Kind, body: object = None, *, reply: str = "", causation: str = "") -> Envelope:
    """Return an envelope with `body` in it."""
    raw = body if isinstance(body, msgspec.Raw) else msgspec.Raw(encode(body))
    return Envelope(VERSION, kind, "", 0, new_id(), "tester", causation, reply=reply, body=raw)


def body_of(envelope: Envelope) -> Any:
    """Return what :func:`said` put in."""
    return msgspec.msgpack.decode(envelope.body)


class RawActor:
    """Answers HOLDS with what `holding` says, remembers all else, and replies when told to."""

    def __init__(self, bus: Bus, fleet: str, name: str, *, exchange: Exchange | None = None) -> None:
        self.bus, self.fleet, self.name, self.exchange = bus, fleet, name, exchange
        self.frames: list[int] = []
        """How many envelopes each frame had that told or asked something."""
        self.heard: list[Envelope] = []
        self.refused: list[MessageRefused] = []
        self.holding: Callable[[list[str]], list[str]] = lambda _asked: []
        self._subscription: Subscription
        self._changed = anyio.Event()

    async def open(self) -> None:
        """Begin to hear."""
        if self.exchange is not None:
            self.exchange.open_mailbox(subjects.front_door(self.fleet, self.name), self._take)
        self._subscription = await self.bus.subscribe(subjects.mailbox(self.fleet, self.name), self._take)
        await self.bus.flush()

    async def leave(self) -> None:
        """Hear nothing any more, as one that died."""
        if self.exchange is not None:
            self.exchange.close(subjects.front_door(self.fleet, self.name), self._take)
        await self._subscription.unsubscribe()
        await self.bus.flush()

    def _take(self, _subject: str, data: bytes, _reply: str) -> None:
        envelopes = split(data)
        asked = [each for each in envelopes if isinstance(each, Envelope) and each.kind == Kind.HOLDS]
        if len(asked) < len(envelopes):
            self.frames.append(len(envelopes) - len(asked))
        for envelope in envelopes:
            if isinstance(envelope, MessageRefused):
                self.refused.append(envelope)
            elif envelope.kind == Kind.HOLDS:
                self.reply(envelope, self.holding(decode_body(_ids, envelope.body)))
            else:
                self.heard.append(envelope)
        self._changed.set()
        self._changed = anyio.Event()

    def reply(self, asked: Envelope, body: object) -> None:
        """Answer a question."""
        self.publish(asked.reply, said(Kind.REPLY, body, causation=asked.id))

    def fail(self, asked: Envelope, error: CallboardError) -> None:
        """Answer a question with an error."""
        self.publish(asked.reply, said(Kind.ERROR, error_body(error), causation=asked.id))

    def give_credit(self, *told: Envelope) -> None:
        """Return the credit of messages that this actor was told."""
        size = sum(len(memoryview(each.body)) for each in told)
        self.publish(told[0].reply, said(Kind.CREDIT, CreditBody(self.name, len(told), size)))

    def publish(self, subject: str, envelope: Envelope) -> None:
        """Say whatever the test wants said, alone."""
        receiver = self.exchange.find(subject) if self.exchange is not None else None
        if receiver is not None and self.exchange is not None:
            self.exchange.pass_on(receiver, subject, encode(envelope))
        else:
            self.bus.publish(subject, encode(envelope))

    def of(self, kind: Kind) -> list[Envelope]:
        """Return what was heard of one kind."""
        return [each for each in self.heard if each.kind == kind]

    async def wait(self, kind: Kind, count: int = 1, *, within: float = WITHIN) -> list[Envelope]:
        """Wait until `count` envelopes of `kind` came; return all of the kind."""
        with anyio.fail_after(within):
            while len(self.of(kind)) < count:
                await self._changed.wait()
        return self.of(kind)
