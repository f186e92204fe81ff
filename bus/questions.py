"""The open questions of one endpoint: each ends once, in a reply, an error, or its deadline.

Deadlines share timers: a timer of its own for each question costs a tenth of the questions a second. Questions whose
time is up within the same sixteenth of a second wait for one timer, which so comes up to 63 ms late; a question that
may take less than a second has a timer of its own.
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from callboard.errors import CallboardError, from_wire

from . import codec
from .envelope import Answer, Answers, Envelope, Kind, Trust
from .errors import DeadlineExceeded, MailboxFull

MOST: Final = 16_384
"""Questions one endpoint may wait for at once."""
_SHORT: Final = 1.0
_PER_SECOND: Final = 16
_SLOTS_MOST: Final = 1024
_LONGEST: Final = 366 * 86_400.0
"""Seconds; who waits longer, or without end, has a timer of a year."""
_REPLY: Final = int(Kind.REPLY)


class Question(msgspec.Struct, eq=False, gc=False):
    """A question that waits for its answer."""

    answer: "asyncio.Future[Answer]"
    actor: str
    timeout: float
    timer: asyncio.TimerHandle | None = None
    due: set[str] | None = None
    """Those whose time is up together with its own."""

    def stop(self, name: str) -> None:
        """Let its time be up no more."""
        if self.due is not None:
            self.due.discard(name)
        elif self.timer is not None:
            self.timer.cancel()


class Questions:
    """Not thread-safe; belongs to one event loop."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}
        self._due: dict[int, set[str]] = {}
        """Ids by the sixteenth of a second of the loop's clock in which their time is up."""
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def check_room(self) -> None:
        """Raise MailboxFull if no other question may be asked."""
        if len(self._open) >= MOST:
            raise MailboxFull(f"{MOST} questions of this cell are open already", depth=MOST)

    def open(self, question: str, actor: str, timeout: float) -> "asyncio.Future[Answer]":
        """Return what will hold the answer, for `timeout` seconds at most; raises MailboxFull."""
        self.check_room()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        if timeout < _SHORT:
            asked = self._open[question] = Question(answer, actor, timeout)
            asked.timer = loop.call_later(timeout, _expire, asked)
            return answer
        until = loop.time() + (timeout if timeout < _LONGEST else _LONGEST)
        slot = int(until * _PER_SECOND) + 1
        due = self._due.get(slot)
        if due is None:
            due = self._open_slot(slot, loop)
        due.add(question)
        self._open[question] = Question(answer, actor, timeout, None, due)
        return answer

    def _open_slot(self, slot: int, loop: asyncio.AbstractEventLoop) -> set[str]:
        if len(self._due) >= _SLOTS_MOST:  # callers with times of many lengths: most of theirs are empty by now
            for empty in [each for each, names in self._due.items() if not names]:
                del self._due[empty]
                self._timers.pop(empty).cancel()
        self._timers[slot] = loop.call_at(slot / _PER_SECOND, self._expire_all, slot)
        due = self._due[slot] = set()
        return due

    def _expire_all(self, slot: int) -> None:
        del self._timers[slot]
        for question in self._due.pop(slot):
            if (asked := self._open.get(question)) is not None:
                _expire(asked)

    def close(self, question: str) -> bool:
        """Forget a question; return whether it was still unanswered."""
        asked = self._open.pop(question, None)
        if asked is not None:
            asked.stop(question)
        return asked is not None

    def answer(self, reply: Envelope) -> None:
        """Take the answer to a question, if it is still open."""
        asked = self._open.pop(reply.causation, None)
        if asked is None:
            return
        asked.stop(reply.causation)
        if asked.answer.done():
            return
        if reply.kind == _REPLY:
            doubted = reply.trust == Trust.EXTERNAL
            asked.answer.set_result(Answer(reply.type, reply.schema, reply.format, reply.body, doubted))
        else:
            asked.answer.set_exception(codec.error_in(reply))

    def answer_all(self, answers: Answers) -> None:
        """Take several replies, those to questions that are still open."""
        kind, schema, form, pop = answers.type, answers.schema, answers.format, self._open.pop
        for question, body in zip(answers.questions, answers.bodies, strict=True):
            asked = pop(question, None)
            if asked is None:
                continue
            if asked.due is not None:
                asked.due.discard(question)
            else:
                asked.stop(question)
            if not asked.answer.done():
                asked.answer.set_result(Answer(kind, schema, form, body))

    def fail(self, questions: Iterable[str], error: CallboardError) -> None:
        """End questions with `error`, those that are still open."""
        for question in questions:
            asked = self._open.pop(question, None)
            if asked is None:
                continue
            asked.stop(question)
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


def _expire(asked: Question) -> None:
    if not asked.answer.done():
        text = f"{asked.actor} did not reply within {asked.timeout} s"
        asked.answer.set_exception(DeadlineExceeded(text, actor=asked.actor, timeout=asked.timeout))
