"""The FastStream side. Only this module and its receiver import FastStream, which stands in ``.venv-bench`` alone.

Its quickest arrangement known to us: bodies checked by msgspec instead of pydantic, and no access log.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final

import msgspec
from faststream.nats import NatsBroker

from .messages import TEXT, Answer, Note, Question, Tally
from .side import ASK_WITHIN

NOTES: Final = "bench.faststream.notes"
QUESTIONS: Final = "bench.faststream.questions"
COUNT: Final = -1
"""The number of a note that asks for the count: its subscription is the only way to stand behind the notes."""

_answer: Final = msgspec.json.Decoder(Answer)
_tally: Final = msgspec.json.Decoder(Tally)


class FastStreamSide:
    """``publish`` and ``request`` of a broker."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    async def tell(self, count: int) -> int:
        """Publish notes one by one, and ask behind them on the same subject."""
        for number in range(count):
            await self._broker.publish(Note(number=number, text=TEXT), NOTES)
        reply = await self._broker.request(Note(number=COUNT), NOTES, timeout=ASK_WITHIN)
        return _tally.decode(reply.body).handled

    async def ask(self, number: int) -> int:
        """Ask one question."""
        reply = await self._broker.request(Question(number=number, text=TEXT), QUESTIONS, timeout=ASK_WITHIN)
        return _answer.decode(reply.body).number


def make_broker(url: str) -> Any:
    """Return a broker that is not connected yet."""
    checker = import_module("fast_depends.msgspec")  # by name: type checkers do not have it either
    serializer = checker.MsgSpecSerializer(use_fastdepends_errors=False)
    return NatsBroker(url, logger=None, serializer=serializer, allow_reconnect=False)


@asynccontextmanager
async def open_faststream(url: str) -> AsyncIterator[FastStreamSide]:
    """Connect a broker that only sends."""
    broker = make_broker(url)
    await broker.start()
    try:
        yield FastStreamSide(broker)
    finally:
        await broker.stop()
