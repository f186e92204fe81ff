"""The receiver of the nats-py side: three subscriptions with callbacks, typed bodies in msgpack."""

from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from .messages import Answer, Note, Question, Tally

NOTES: Final = "bench.nats.notes"
JOINED: Final = "bench.nats.joined"
QUESTIONS: Final = "bench.nats.questions"

encode: Final = msgspec.msgpack.Encoder().encode
_note: Final = msgspec.msgpack.Decoder(Note)
_notes: Final = msgspec.msgpack.Decoder(list[Note])
_question: Final = msgspec.msgpack.Decoder(Question)


class NatsReceiver:
    """Counts notes and answers questions. A message with a reply address on a subject of notes asks for the count."""

    def __init__(self) -> None:
        self.handled = 0

    async def listen(self, client: Client) -> None:
        """Subscribe, and return once the server knows."""
        await client.subscribe(NOTES, cb=self.on_note)
        await client.subscribe(JOINED, cb=self.on_joined)
        await client.subscribe(QUESTIONS, cb=self.on_question)
        await client.flush()

    async def on_note(self, msg: Msg) -> None:
        """Take one note."""
        if msg.reply:
            await self._tally(msg)
            return
        _note.decode(msg.data)
        self.handled += 1

    async def on_joined(self, msg: Msg) -> None:
        """Take notes that were joined by hand."""
        if msg.reply:
            await self._tally(msg)
            return
        for _ in _notes.decode(msg.data):
            self.handled += 1

    async def on_question(self, msg: Msg) -> None:
        """Answer with the next number."""
        question = _question.decode(msg.data)
        await msg.respond(encode(Answer(number=question.number + 1, text=question.text)))

    async def _tally(self, msg: Msg) -> None:
        tally, self.handled = Tally(handled=self.handled), 0
        await msg.respond(encode(tally))
