"""The loop that takes letters from the mailbox and calls the handlers. No policy of its own.

An exception in a handler fails *that message*: its asker gets a typed error, the actor object is made anew, and nothing
is counted against the actor. The replica itself ends, to be restarted by its supervisor, when ``__init__`` or
``started`` raises, when a handler raises what is no ``Exception``, or when five different messages fail in a row.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Final

import anyio
import anyio.lowlevel

from callboard.bus import ActorDied, DeadlineExceeded, Kind, MessageRefused, MessageTooLarge

from .actor import Actor, build
from .context import Context
from .errors import HandlerFailed, Stalled, WrongReply
from .hand import InHand
from .handlers import Route
from .host import Host
from .mailbox import Letter
from .message import Message

FAILURES_IN_A_ROW: Final = 5
YIELD_AFTER: Final = 0.001
"""Seconds without a pause after which other tasks get a turn: a handler that awaits nothing must not keep it."""
_LOOK_EVERY: Final = 16
_ASK: Final = int(Kind.ASK)


class Crashed(Exception):
    """A replica has ended and says why."""


class Replica:
    """One actor object and its loop. `made` is called when the first object of its life has started."""

    def __init__(self, host: Host, *, made: Callable[[], None] | None = None) -> None:
        self._host, self._tell_made = host, made
        self._actor: Actor
        self._failed: set[str] = set()

    async def run(self) -> None:
        """Serve until the mailbox dismisses it or is closed; raise :class:`Crashed` when this replica cannot go on."""
        try:
            await self._make()
            if self._host.state in ("starting", "restarting"):
                self._host.state = "running"
            if self._tell_made is not None:
                self._tell_made()
            async with anyio.create_task_group() as tasks:
                for _ in range(self._host.spec.actor.concurrency - 1):
                    tasks.start_soon(self._loop)
                await self._loop()
            await self._actor.stopping(Context(self._host, None))
        except Crashed:
            raise
        except BaseExceptionGroup as group:
            raise Crashed(_why(group)) from group
        except Exception as error:
            raise Crashed(f"stopping() raised {error!r}") from error
        except anyio.get_cancelled_exc_class() as error:
            if is_cancelled():
                raise
            raise Crashed("started() or stopping() awaited what somebody else had cancelled") from error

    async def _make(self) -> None:
        within = self._host.spec.health.start_within
        try:
            with anyio.move_on_after(within) as limit:
                made = build(self._host.spec.actor, self._host.spec.options)
                await made.started(Context(self._host, None))
                self._actor = made  # not before: its other messages in hand must not meet a half-started object
        except (Exception, SystemExit) as error:
            raise Crashed(f"it failed to start: {_short(error)}") from error
        if limit.cancelled_caught:
            raise Crashed(f"started() took longer than start_within = {within} s")

    async def _loop(self) -> None:
        while not await self._serve():
            await self._make()  # a stalled handler was stopped: the message has failed, and so has the object

    async def _serve(self) -> bool:
        """Serve until the mailbox is closed; return False when a handler had to be stopped.

        One scope for all messages: a tell is cancelled by ending the loop, which is rare, and costs nothing otherwise.
        """
        host, served, turn_ends = self._host, 0, 0.0
        with anyio.CancelScope() as scope:
            while (letter := host.mailbox.take_nowait() or await host.mailbox.take()) is not None:
                host.settle_credit(letter)
                if (opened := self._open(letter)) is not None:
                    route, message = opened
                    await self._call(route, message, letter, scope)
                    if scope.cancel_called:
                        return False  # a stalled handler ended well after all: the next one must not pay for it
                served += 1
                if served % _LOOK_EVERY == 0 and time.perf_counter() > turn_ends:
                    await anyio.lowlevel.checkpoint()
                    turn_ends = time.perf_counter() + YIELD_AFTER
            return True
        return False

    def _open(self, letter: Letter) -> tuple[Route, Message] | None:
        """Return the handler and the message in `letter`; None if it has been answered: too late, or not its type."""
        host, envelope = self._host, letter.envelope
        if 0.0 < letter.until < host.clock.monotonic():
            host.replies.fail(letter, DeadlineExceeded(f"{host.name} came to it after its deadline", actor=host.name))
            host.flight.done(letter.slot)
            return None
        route = (host.table.topics[letter.topic] if letter.topic else host.table.direct)[envelope.type]
        try:
            return route, route.reader.read(envelope)
        except MessageRefused as error:
            host.refuse(letter, error)
        except Exception as error:  # noqa: BLE001 - what a message's own __post_init__ raises is about the message
            host.refuse(letter, MessageRefused(f"{envelope.type} does not accept itself: {_short(error)}", path="$"))
        return None

    async def _call(self, route: Route, message: Message, letter: Letter, loop: anyio.CancelScope) -> None:
        host, asked = self._host, letter.envelope.kind == _ASK
        hand = host.take_in_hand(letter, anyio.CancelScope() if asked else loop)
        try:
            hand.handler = route.call(self._actor, message, Context(host, hand))
            if not asked:
                self._reply(route, letter, await hand.handler)
            elif not await self._answer(route, hand):
                return
            self._succeeded(letter)
        except host.spec.actor.answers_with as error:
            host.replies.fail(letter, error)
            self._succeeded(letter)
        except Exception as error:  # noqa: BLE001 - the handler's failure belongs to the message
            await self._fail(letter, error)
        except anyio.get_cancelled_exc_class() as error:
            if not is_cancelled():
                await self._fail(letter, error)
                return
            self._stopped(hand)
            raise
        except BaseException as error:
            host.replies.fail(letter, _failure(host.name, error))
            host.confinement.crashed(letter, _short(error), lives=host.restarts)
            raise Crashed(f"a handler raised {_short(error)}") from error
        finally:
            host.let_go(hand)

    def _stopped(self, hand: InHand) -> None:
        """Answer for a message whose handler was cancelled from outside."""
        host, letter = self._host, hand.letter
        if hand.stalled:
            self._failed_with(letter, Stalled(f"{host.name} was stopped: {hand.stalled}", actor=host.name))
        else:
            host.replies.fail(letter, ActorDied(f"{host.name} was stopped with this message in hand", actor=host.name))

    async def _answer(self, route: Route, hand: InHand) -> bool:
        """Answer a question, which its asker, its deadline or a stall may cancel; return whether it was not.

        The scope has no deadline of its own: an asker whose time is up says so, and for one that is gone the cell looks
        (:meth:`Host.end_overdue`). A timer for each question costs a twelfth of the questions a second.
        """
        with hand.scope:
            self._reply(route, hand.letter, await hand.handler)
        if not hand.scope.cancelled_caught:
            return True
        name = self._host.name
        if hand.stalled:
            await self._fail(hand.letter, Stalled(f"{name} was stopped: {hand.stalled}", actor=name))
        else:
            self._host.replies.fail(hand.letter, DeadlineExceeded(f"{name} was stopped at the deadline", actor=name))
        return False

    def _succeeded(self, letter: Letter) -> None:
        self._host.handled += 1
        if self._host.failed or self._host.restarts:  # before the first failure nothing is held against any message
            self._host.confinement.forgive(letter)
        if self._failed:
            self._failed.clear()

    def _reply(self, route: Route, letter: Letter, result: Any) -> None:
        if not self._host.replies.waits(letter):
            return
        if not isinstance(result, route.replies):
            raise WrongReply(
                f"{self._host.name}.{route.name} returned {type(result).__name__}, not {route.reply!r}",
                actor=self._host.name,
            )
        self._host.replies.succeed(letter, result)

    async def _fail(self, letter: Letter, error: BaseException) -> None:
        self._failed_with(letter, error)
        await self._make()

    def _failed_with(self, letter: Letter, error: BaseException) -> None:
        host = self._host
        host.failed += 1
        host.last_error = type(error).__name__
        kept = error if isinstance(error, WrongReply | MessageTooLarge | Stalled) else None
        host.replies.fail(letter, kept or _failure(host.name, error))
        host.cell.report(
            "handler-failed", host.name, _short(error), id=letter.envelope.id, type=letter.envelope.type,
            sender=letter.envelope.sender or letter.cell,
        )  # fmt: skip
        host.confinement.failed(letter, _short(error), handled=host.handled)
        self._failed.add(letter.envelope.id)
        if len(self._failed) >= FAILURES_IN_A_ROW:
            raise Crashed(f"{FAILURES_IN_A_ROW} messages in a row failed, the last with {_short(error)}") from error


def is_cancelled() -> bool:
    """Return whether this task was told to stop.

    A cancellation that arrives while it was not is an ordinary error: somebody awaited what somebody else cancelled.
    """
    return anyio.current_effective_deadline() == -math.inf


def _failure(actor: str, error: BaseException) -> HandlerFailed:
    return HandlerFailed(f"{actor} failed: {_short(error)}", actor=actor, exception=type(error).__name__)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _why(group: BaseExceptionGroup[BaseException]) -> str:
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _why(first)  # pyright: ignore[reportUnknownArgumentType]  # of whatever exceptions
    return str(first) if isinstance(first, Crashed) else _short(first)
