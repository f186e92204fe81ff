"""The FastStream side's receiver as a process: ``python -m benchmarks.peer_faststream``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .faststream_side import COUNT, NOTES, QUESTIONS, make_broker
from .messages import Answer, Note, Question, Tally
from .receiving import serve


class FastStreamReceiver:
    """Counts notes and answers questions."""

    def __init__(self) -> None:
        self.handled = 0

    async def on_note(self, note: Note) -> Tally | None:
        """Count a note, or say how many there were."""
        if note.number == COUNT:
            tally, self.handled = Tally(handled=self.handled), 0
            return tally
        self.handled += 1
        return None

    async def on_question(self, question: Question) -> Answer:
        """Answer with the next number."""
        return Answer(number=question.number + 1, text=question.text)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[None]:
    """Receive for the time of the block."""
    broker, here = make_broker(url), FastStreamReceiver()
    broker.subscriber(NOTES)(here.on_note)
    broker.subscriber(QUESTIONS)(here.on_question)
    await broker.start()
    try:
        yield
    finally:
        await broker.stop()


if __name__ == "__main__":
    serve(listening)
