"""The open questions of one endpoint: each ends once, in a reply, an error, or its deadline."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from callboard.errors import CallboardError, from_wire

from . import codec
from .envelope import Envelope, Kind
from .errors import DeadlineExceeded, MailboxFull

MOST: Final = 16_384
"""Questions one endpoint may wait for at once."""


class Question(NamedTuple):
    """A question that waits for its answer."""

    answer: "asyncio.Future[Envelope]"
    actor: str
    timer: asyncio.TimerHandle


class Questions:
    """Not thread-safe; belongs to one event loop."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}

    def open(self, question: str, actor: str, timeout: float) -> "asyncio.Future[Envelope]":
        """Return what will hold the answer, for `timeout` seconds at most; raises MailboxFull."""
        if len(self._open) >= MOST:
            raise MailboxFull(f"{MOST} questions of this cell are open already", depth=MOST)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Envelope] = loop.create_future()
        # A bare timer instead of a cancel scope: a sixth more questions a second.
        timer = loop.call_later(timeout, _expire, answer, actor, timeout)
        self._open[question] = Question(answer, actor, timer)
        return answer

    def close(self, question: str) -> bool:
        """Forget a question; return whether it was still unanswered."""
        asked = self._open.pop(question, None)
        if asked is not None:
            asked.timer.cancel()
        return asked is not None

    def answer(self, reply: Envelope) -> None:
        """Take the answer to a question, if it is still open."""
        asked = self._open.pop(reply.causation, None)
        if asked is None:
            return
        asked.timer.cancel()
        if asked.answer.done():
            return
        if reply.kind == Kind.REPLY:
            asked.answer.set_result(reply)
        else:
            asked.answer.set_exception(codec.error_in(reply))

    def fail(self, questions: Iterable[str], error: CallboardError) -> None:
        """End questions with `error`, those that are still open."""
        for question in questions:
            asked = self._open.pop(question, None)
            if asked is None:
                continue
            asked.timer.cancel()
            if not asked.answer.done():
                # One for each: an error raised in many tasks would grow a traceback of all.
                asked.answer.set_exception(from_wire(error.code, error.text, error.detail))

    def fail_all(self, error: CallboardError) -> None:
        """End all questions with `error`."""
        self.fail(list(self._open), error)

    def of(self, actor: str, *, but: Collection[str] = ()) -> list[str]:
        """Return the open questions to `actor`, without some."""
        return [question for question, asked in self._open.items() if asked.actor == actor and question not in but]

    def actors(self) -> set[str]:
        """Return who was asked something that is still open."""
        return {asked.actor for asked in self._open.values()}

    def __contains__(self, question: str) -> bool:
        """Return whether a question is open."""
        return question in self._open


def _expire(answer: "asyncio.Future[Envelope]", actor: str, timeout: float) -> None:
    if not answer.done():
        late = DeadlineExceeded(f"{actor} did not reply within {timeout} s", actor=actor, timeout=timeout)
        answer.set_exception(late)
