"""Answers that a cell has at hand, and the questions that are being asked: the same one is asked once at a time."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import msgspec

from callboard.errors import CallboardError, from_wire

from .errors import BadModelKey, BadModelRequest, CallTooLarge, ContextTooLong, UnknownModelName, WrongAnswer

MOST_BYTES: Final = 16 * 1024 * 1024
_SHARED: Final = (BadModelKey, BadModelRequest, CallTooLarge, ContextTooLong, UnknownModelName, WrongAnswer)
"""Failures that everybody who asks the same would meet, unless who asks holds answers against a check of its own."""


class Answer(msgspec.Struct, frozen=True):
    """The text of an answer, and until when it is given again (Unix seconds)."""

    body: bytes
    expires: float


class Answers:
    """The latest answers, up to :data:`MOST_BYTES`."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most, self._bytes = most, 0
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: bytes, now: float) -> Answer | None:
        """Return the answer of a question that has one."""
        found = self._answers.get(key)
        if found is None:
            return None
        if found.expires <= now:
            self.drop((key,))
            return None
        self._answers.move_to_end(key)
        return found

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer; the ones that were used longest ago make room for it."""
        self.drop((key,))
        self._answers[key] = answer
        self._bytes += len(answer.body)
        while self._bytes > self._most:
            _, old = self._answers.popitem(last=False)
            self._bytes -= len(old.body)

    def drop(self, keys: Iterable[bytes]) -> None:
        """Forget some answers."""
        for key in keys:
            if (old := self._answers.pop(key, None)) is not None:
                self._bytes -= len(old.body)

    def clear(self) -> None:
        """Forget all."""
        self._answers.clear()
        self._bytes = 0

    @asynccontextmanager
    async def alone(self, key: bytes, *, shares: bool = True) -> AsyncGenerator[None, None]:
        """Have a question to oneself for the length of the block; who waited for it looks at the answers first.

        Raises what the one before has met, if all who ask the same would meet it, and it `shares` that.
        """
        while (flight := self._flights.get(key)) is not None:
            await flight.over.wait()
            if flight.error is not None:
                raise from_wire(flight.error.code, flight.error.text, flight.error.detail)
            if key in self._answers:
                break
        flight = self._flights[key] = _Flight()
        try:
            yield
        except _SHARED as error:
            flight.error = error if shares else None
            raise
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.over.set()


class _Flight:
    def __init__(self) -> None:
        self.over = anyio.Event()
        self.error: CallboardError | None = None
