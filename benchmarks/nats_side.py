"""The nats-py side: the plain client, with the same types in msgpack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import nats
from nats.aio.client import Client

from .messages import TEXT, Answer, Count, Note, Question, Tally
from .nats_receiver import JOINED, NOTES, QUESTIONS, NatsReceiver, encode
from .side import ASK_WITHIN

JOIN: Final = 16
_answer: Final = msgspec.msgpack.Decoder(Answer)
_tally: Final = msgspec.msgpack.Decoder(Tally)


class NatsSide:
    """One message a publish; ``request`` for questions."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tell(self, count: int) -> int:
        """Publish notes one by one, and ask behind them on the same subject."""
        for number in range(count):
            await self._client.publish(NOTES, encode(Note(number=number, text=TEXT)))
        return await self._tally(NOTES)

    async def ask(self, number: int) -> int:
        """Ask one question."""
        question = encode(Question(number=number, text=TEXT))
        reply = await self._client.request(QUESTIONS, question, timeout=ASK_WITHIN)
        return _answer.decode(reply.data).number

    async def _tally(self, subject: str) -> int:
        reply = await self._client.request(subject, encode(Count()), timeout=ASK_WITHIN)
        return _tally.decode(reply.data).handled


class JoinedNatsSide(NatsSide):
    """JOIN notes by hand in each publish: what who needs speed writes for himself."""

    async def tell(self, count: int) -> int:
        """Publish notes in lists, and ask behind them."""
        for first in range(0, count, JOIN):
            numbers = range(first, min(first + JOIN, count))
            await self._client.publish(JOINED, encode([Note(number=number, text=TEXT) for number in numbers]))
        return await self._tally(JOINED)


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[Client]:
    """Connect with the client's own defaults."""
    client = await nats.connect(url, name="bench", allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def open_nats_in_one_process(url: str) -> AsyncIterator[NatsSide]:
    """Run the receiver here too, on a connection of its own, as a fleet of tasks does."""
    async with open_client(url) as theirs, open_client(url) as client:
        await NatsReceiver().listen(theirs)
        yield NatsSide(client)
