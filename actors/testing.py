"""The actors' part of the test kit: time that a test moves, and an actor that remembers what it was told.

Public as ``callboard.testing``, together with ``Stage`` (docs/testing.md).
"""

import heapq
import types
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Any, Final, TypeVar, Union

import anyio
import anyio.lowlevel
import msgspec

from callboard.errors import CallerError

from .actor import Actor
from .context import Context
from .handlers import Handler
from .message import Message, tag_of
from .spec import ActorSpec

M = TypeVar("M", bound=Message)

_BEGIN: Final = 1_700_000_000.0
_TURNS: Final = 5
"""Loop turns that one who was woken is given: to come back from its wait, and to reach its next one."""


class ManualClock:
    """A :class:`~callboard.clock.Clock` that stands still until the test moves it.

    It decides what the time is: what has expired, how long a budget's window is, which handler is past its deadline,
    and when one who sleeps on it goes on. Only how long a caller of ``ask`` or ``tell`` waits is real time.
    """

    def __init__(self, *, now: float = _BEGIN) -> None:
        self._begin = now
        self._passed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def now(self) -> float:
        """Return Unix seconds: those given at the start and all that were advanced since."""
        return self._begin + self._passed

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._passed

    @property
    def sleepers(self) -> int:
        """How many tasks wait on this clock; each cell is one, as it looks for handlers past their deadline."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the clock by `seconds`."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        entry = (self._passed + seconds, next(self._order), anyio.Event())
        heapq.heappush(self._sleepers, entry)
        try:
            await entry[2].wait()
        finally:
            if entry in self._sleepers:
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move the time on by `seconds` and wake those whose time has come, the earliest first.

        Each is woken at its own moment and given some turns before the next one, so that who sleeps again in between
        is woken again. Raises CallerError for a negative number.
        """
        if seconds < 0:
            raise CallerError(f"advance({seconds}): time only goes forward; give 0.0 or more seconds")
        until = self._passed + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, turn = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, due)
            turn.set()
            for _ in range(_TURNS):
                await anyio.lowlevel.checkpoint()
        self._passed = until


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it came to a :class:`Probe`, with the facts its handler could see."""

    message: Message
    sender: str
    """Name of the sending actor; empty for the test itself and for outsiders."""
    trust: int
    message_id: str
    correlation_id: str


class Probe:
    """An actor for a test: it records all it receives and answers what it was told to answer.

    Args:
        name: what it is called; others reach it by this name, or by ``probe.actor``.
        takes: the message types it receives.
        answers: for each type the reply, or the exception that its handler raises; default: a reply of nothing.
        topics: the events it receives: one message type for each topic.

    Give the probe itself to a ``Stage``. What it recorded survives restarts of the actor.

    """

    def __init__(
        self,
        name: str,
        *takes: type[Message],
        answers: Mapping[type[Message], Message | Exception] | None = None,
        topics: Mapping[str, type[Message]] | None = None,
    ) -> None:
        self.received: list[Received] = []
        self._answers = dict(answers or {})
        self._unclaimed: deque[Message] = deque()
        self._arrived = anyio.Event()
        handlers = {f"on_{topic.replace('-', '_')}": _handler((kind,), topic) for topic, kind in (topics or {}).items()}
        if taken := (*takes, *(kind for kind in self._answers if kind not in takes)):
            handlers["take"] = _handler(taken, None, tuple(self._answers.values()))
        self.actor: type[Actor] = types.new_class("Probe", (Actor,), {}, lambda body: body.update(handlers, name=name))
        self.spec = ActorSpec(actor=self.actor, name=name, cell="main", options=self)

    @property
    def messages(self) -> list[Message]:
        """All messages received so far, in order."""
        return [received.message for received in self.received]

    async def expect(self, kind: type[M], *, within: float = 1.0) -> M:
        """Return the next message of `kind` that no earlier call returned; messages of other types are left.

        Raises AssertionError when none has come `within` seconds, saying what came instead.
        """
        with anyio.move_on_after(within):
            while True:
                for message in self._unclaimed:
                    if isinstance(message, kind):
                        self._unclaimed.remove(message)
                        return message
                await self._arrived.wait()
        came = ", ".join(tag_of(type(message)) for message in self._unclaimed) or "nothing"
        raise AssertionError(f"{self.spec.name} received no {tag_of(kind)} within {within} s; unclaimed: {came}")

    def take(self, message: Message, ctx: Context) -> Message | None:
        """Record a message and answer it; called by the probe's own actor."""
        self.received.append(
            Received(
                message=message, sender=ctx.sender, trust=ctx.trust, message_id=ctx.message_id,
                correlation_id=ctx.correlation_id,
            )
        )  # fmt: skip
        self._unclaimed.append(message)
        self._arrived.set()
        self._arrived = anyio.Event()
        answer = self._answers.get(type(message))
        if isinstance(answer, Exception):
            raise answer
        return answer


def _handler(
    takes: tuple[type[Message], ...], topic: str | None, answers: tuple[Message | Exception, ...] = ()
) -> Handler[Any, Any]:
    async def take(self: Actor, message: Any, ctx: Context) -> Any:
        answer: Message | None = self.options.take(message, ctx)
        return answer

    replies = tuple(type(answer) for answer in answers if isinstance(answer, Message))
    returns = Union[(*replies, None)] if topic is None else None
    take.__annotations__ = {"message": Union[takes], "return": returns}  # noqa: UP007 - built from a tuple
    return Handler(take, topic)
