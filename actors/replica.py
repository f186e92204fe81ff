"""The loop that takes letters from the mailbox and calls the handlers. No policy of its own.

An exception in a handler fails *that message*: its asker gets a typed error, the actor object is made anew, and nothing
is counted against the actor. The replica itself ends, to be restarted by its supervisor, when ``__init__`` or
``started`` raises, when a handler raises what is no ``Exception``, or when five different messages fail in a row.
"""

import math
import time
from collections.abc import Callable
from sys import getrefcount
from typing import Any, Final

import anyio
import anyio.lowlevel

from callboard.bus import ActorDied, DeadlineExceeded, Kind, MessageRefused, MessageTooLarge, id_at
from callboard.store import StoreError

from .actor import Actor, build
from .context import Context, RunContext
from .errors import HandlerFailed, Stalled, WrongReply
from .evidence import in_short
from .flight import ANSWERED, DONE, IN_HAND
from .hand import InHand
from .handlers import Route
from .host import Host
from .letter import Letter
from .message import Message
from .run import Run
from .shortage import report_shortage
from .task_context import TaskContext
from .tasks import Tasks

FAILURES_IN_A_ROW: Final = 5
YIELD_AFTER: Final = 0.001
"""Seconds without a pause after which other tasks get a turn: a handler that awaits nothing must not keep it."""
_ASK: Final = int(Kind.ASK)


def _own_references() -> int:
    """Return how many references are counted to what one local variable alone holds: it depends on the Python."""
    mine = object()
    return getrefcount(mine)


_OURS: Final = _own_references()
"""References to a context that nobody else has kept: the loop's own, and getrefcount's argument."""


class Crashed(Exception):
    """A replica has ended and says why."""


class Replica:
    """One actor object and its loop. `made` is called when the first object of its life has started."""

    def __init__(self, host: Host, *, made: Callable[[], None] | None = None) -> None:
        self._host, self._tell_made = host, made
        self._actor: Actor
        self._failed: set[str] = set()
        self._stalled = False
        """Whether the object has stalled with a message in hand, and is to be made anew."""
        self._turn_ends = 0.0

    async def run(self) -> None:
        """Serve until the mailbox dismisses it or is closed; raise :class:`Crashed` when this replica cannot go on."""
        try:
            await self._make()
            if self._host.state in ("starting", "restarting"):
                self._host.state = "running"
            if self._tell_made is not None:
                self._tell_made()
            await self._loops(self._host.spec.actor.concurrency)
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
            raise Crashed(f"it failed to start: {in_short(error)}") from error
        if limit.cancelled_caught:
            raise Crashed(f"started() took longer than start_within = {within} s")

    async def _loops(self, count: int) -> None:
        if count == 1:  # without a group, which weighs as much as the rest of an idle actor
            try:
                await self._loop()
            except Crashed:
                raise
            except Exception as error:
                raise Crashed(in_short(error)) from error
            return
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(self._loop)

    async def _loop(self) -> None:
        while not await self._serve():
            if self._stalled:
                self._stalled = False
                await self._make()  # the message has failed, and so has the object

    async def _serve(self) -> bool:
        """Serve until the mailbox is closed; return False when a handler had to be stopped.

        One scope for all messages: a handler is stopped by ending the loop, which is rare, and costs nothing otherwise.
        """
        alone, mailbox = self._host.spec.alone, self._host.mailbox
        with anyio.CancelScope() as scope:
            while True:
                if alone:
                    work = mailbox.work_nowait() or await mailbox.work()
                else:
                    work = mailbox.take_nowait() or await mailbox.take()
                if work is None:
                    return True
                if isinstance(work, Run):
                    await self._work_through(work, scope)
                else:
                    await self._take(work, scope)
                if scope.cancel_called:
                    return False  # a stalled handler ended well after all: the next one must not pay for it
                if time.perf_counter() > self._turn_ends:
                    await self._yield()
        return False

    async def _yield(self) -> None:
        await anyio.lowlevel.checkpoint()
        self._turn_ends = time.perf_counter() + YIELD_AFTER

    # --- one letter

    async def _take(self, letter: Letter, scope: anyio.CancelScope) -> None:
        self._host.settle_credit(letter)
        if (opened := self._open(letter)) is not None:
            route, message = opened
            await (self._do if letter.receipt else self._call)(route, message, letter, scope)

    def _open(self, letter: Letter) -> tuple[Route, Message] | None:
        """Return the handler and the message in `letter`; None if it has been answered: too late, or not its type."""
        host, envelope = self._host, letter.envelope
        if 0.0 < letter.until < host.clock.monotonic():
            self._late(letter)
            return None
        route = (host.table.topics[letter.topic] if letter.topic else host.table.direct)[envelope.type]
        try:
            return route, route.reader.read(envelope)
        except MessageRefused as error:
            host.refuse(letter, error)
        except Exception as error:  # noqa: BLE001 - what a message's own __post_init__ raises is about the message
            host.refuse(letter, MessageRefused(f"{envelope.type} does not accept itself: {in_short(error)}", path="$"))
        return None

    async def _call(self, route: Route, message: Message, letter: Letter, loop: anyio.CancelScope) -> None:
        host = self._host
        hand = host.work.take(letter, loop)
        try:
            hand.handler = route.call(self._actor, message, Context(host, hand))
            result = await hand.handler
            if host.replies.waits(letter):
                self._check(route, result)
                host.replies.succeed(letter, result, doubted=hand.doubted)
        except BaseException as error:  # noqa: BLE001 - each kind is told apart there
            await self._raised(hand, error)
        else:
            self._succeeded(letter)
        finally:
            self._stalled = self._stalled or bool(hand.stalled)
            host.work.let_go(hand)

    def _late(self, letter: Letter) -> None:
        host = self._host
        if letter.receipt and host.tasks is not None:
            host.tasks.expired(letter)
            return
        host.replies.fail(letter, DeadlineExceeded(f"{host.name} came to it after its deadline", actor=host.name))
        host.flight.done(letter.slot)

    # --- a task

    async def _do(self, route: Route, message: Message, letter: Letter, loop: anyio.CancelScope) -> None:
        """Do a task: its handler runs, and then all that it did becomes durable at once. Only then it is settled."""
        host, tasks = self._host, self._host.tasks
        if tasks is None:
            raise RuntimeError(f"{host.name} was given a task, and takes none")
        hand = host.work.take(letter, loop)
        try:
            unit = await tasks.begin(letter)
            if unit is not None:
                hand.handler = route.call(self._actor, message, TaskContext(host, hand, unit))
                self._check(route, await hand.handler)
                await tasks.commit(unit)
        except BaseException as error:  # noqa: BLE001 - each kind is told apart there
            await self._task_raised(tasks, hand, error)
        else:
            self._succeeded(letter)
            tasks.finished(letter)
        finally:
            self._stalled = self._stalled or bool(hand.stalled)
            host.work.let_go(hand)

    async def _task_raised(self, tasks: Tasks, hand: InHand, error: BaseException) -> None:
        """Have a task that raised tried again or taken away; then as with any message."""
        host, letter = self._host, hand.letter
        if not isinstance(error, anyio.get_cancelled_exc_class()) or not is_cancelled():
            tasks.failed(letter, error)
        elif hand.stalled:
            tasks.failed(letter, Stalled(f"{host.name} was stopped: {hand.stalled}", actor=host.name))
        elif hand.scope.cancel_called:
            tasks.expired(letter)
        else:
            tasks.stopped(letter)
        if isinstance(error, StoreError):  # the disk's fault, not the object's
            host.cell.report("task-waits", host.name, error.text, id=letter.envelope.id, code=error.code)
            return
        await self._raised(hand, error)

    # --- a run

    async def _work_through(self, run: Run, scope: anyio.CancelScope) -> None:
        """Handle the messages of a batch one by one: the same as for letters, with all that is common done once."""
        host = self._host
        opened = self._open_run(run) if run.reader in (None, self) else None  # else it was left behind in it
        if opened is None:
            host.mailbox.take_apart()  # each is judged by itself
            return
        run.reader, begun, since = self, run.at, host.clock.monotonic()
        host.work.begin(run, scope)
        try:
            await self._handle_run(run, *opened, scope)
        finally:
            host.work.end(run, begun, since)
            host.mailbox.finish(run)
        if run.batch.kind == _ASK:
            await self._yield()  # the answers leave, and who asked goes on while we do

    def _open_run(self, run: Run) -> tuple[Route, list[Any]] | None:
        """Return the handler and the messages; None if they are late, or if one of them does not fit its type."""
        if 0.0 < run.until < self._host.clock.monotonic():
            return None
        route = self._host.table.direct[run.batch.type]
        if run.messages is None:
            try:
                run.messages = route.reader.read_all(run.batch)
            except Exception:  # noqa: BLE001 - taken apart, each one says what is wrong with it
                return None
        return route, run.messages

    async def _handle_run(self, run: Run, route: Route, messages: list[Any], scope: anyio.CancelScope) -> None:
        """Handle what is left of a run, until its reader is called away. Written for speed: all small messages pass."""
        host, call, mailbox, batch = self._host, route.call, self._host.mailbox, run.batch
        asked = batch.kind == _ASK
        done = ANSWERED if asked else DONE
        marks, first = host.flight.marks(run.slot)
        ctx, stopped = RunContext(host, run, 0), False
        watched = bool(self._failed or host.failed or host.restarts)  # changes in this loop only where one raises
        while not stopped and run.at < run.end and not mailbox.interrupted:
            if 0.0 < run.until < host.clock.monotonic():
                mailbox.take_apart()  # the rest is late
                return
            place = run.at
            run.at = place + 1
            marks[first + place] = IN_HAND
            if getrefcount(ctx) > _OURS:  # a handler has kept it; a new one each time costs a fifteenth of a tell
                ctx = RunContext(host, run, place)
            ctx._place = place  # noqa: SLF001 - made here, for here
            try:
                run.handler = call(self._actor, messages[place], ctx)
                result = await run.handler
                if asked:
                    self._check(route, result)
                    doubted = run.hand is not None and run.hand.doubted
                    host.replies.reply(batch.reply, id_at(batch, place), result, doubted=doubted)
            except BaseException as error:  # noqa: BLE001 - each kind is told apart there
                watched = True
                await self._raised(host.work.at(run, place), error)
            else:
                host.handled += 1
                if watched:
                    self._forgive(run, place)
            finally:
                marks[first + place] = done
                if run.hand is not None:  # somebody has looked, and may have stopped it
                    stopped = self._let_go(run, scope)
            if time.perf_counter() > self._turn_ends:
                host.work.pause()
                await self._yield()
                host.work.begin(run, scope)

    def _let_go(self, run: Run, scope: anyio.CancelScope) -> bool:
        """Forget the message of a run that was in hand; return whether it was stopped."""
        hand = self._host.work.let_go_of(run)
        self._stalled = self._stalled or (hand is not None and bool(hand.stalled))
        return scope.cancel_called

    # --- how it ended

    async def _raised(self, hand: InHand, error: BaseException) -> None:
        """Answer for a handler that raised; raise Crashed, or the cancellation, where that ends the loop."""
        host, letter = self._host, hand.letter
        if isinstance(error, host.answers_with):
            host.replies.fail(letter, error)
            report_shortage(host, letter, error)
            self._succeeded(letter)
        elif isinstance(error, Exception):  # the handler's failure belongs to the message
            await self._fail(letter, error)
        elif isinstance(error, anyio.get_cancelled_exc_class()):
            if not is_cancelled():
                await self._fail(letter, error)
                return
            self._stopped(hand)
            raise error
        else:
            host.replies.fail(letter, _failure(host.name, error))
            host.confinement.crashed(letter, in_short(error), lives=host.restarts)
            raise Crashed(f"a handler raised {in_short(error)}") from error

    def _stopped(self, hand: InHand) -> None:
        """Answer for a message whose handler was cancelled from outside."""
        host, letter = self._host, hand.letter
        if hand.stalled:
            self._failed_with(letter, Stalled(f"{host.name} was stopped: {hand.stalled}", actor=host.name))
        elif hand.scope.cancel_called:  # nobody waits for it any more
            host.replies.fail(letter, DeadlineExceeded(f"{host.name} was stopped at the deadline", actor=host.name))
        else:
            host.replies.fail(letter, ActorDied(f"{host.name} was stopped with this message in hand", actor=host.name))

    def _check(self, route: Route, result: Any) -> None:
        if not isinstance(result, route.replies):
            raise WrongReply(
                f"{self._host.name}.{route.name} returned {type(result).__name__}, not {route.reply!r}",
                actor=self._host.name,
            )

    def _forgive(self, run: Run, place: int) -> None:
        if self._host.confinement.suspicious:
            self._host.confinement.forgive(run.letter(place))
        self._failed.clear()

    def _succeeded(self, letter: Letter) -> None:
        self._host.handled += 1
        if self._host.failed or self._host.restarts:  # before the first failure nothing is held against any message
            self._host.confinement.forgive(letter)
        if self._failed:
            self._failed.clear()

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
            "handler-failed", host.name, in_short(error), id=letter.envelope.id, type=letter.envelope.type,
            sender=letter.envelope.sender or letter.cell,
        )  # fmt: skip
        host.confinement.failed(letter, in_short(error), handled=host.handled)
        self._failed.add(letter.envelope.id)
        if len(self._failed) >= FAILURES_IN_A_ROW:
            raise Crashed(f"{FAILURES_IN_A_ROW} messages in a row failed, the last with {in_short(error)}") from error


def is_cancelled() -> bool:
    """Return whether this task was told to stop.

    A cancellation that arrives while it was not is an ordinary error: somebody awaited what somebody else cancelled.
    """
    return anyio.current_effective_deadline() == -math.inf


def _failure(actor: str, error: BaseException) -> HandlerFailed:
    return HandlerFailed(f"{actor} failed: {in_short(error)}", actor=actor, exception=type(error).__name__)


def _why(group: BaseExceptionGroup[BaseException]) -> str:
    first = group.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _why(first)  # pyright: ignore[reportUnknownArgumentType]  # of whatever exceptions
    return str(first) if isinstance(first, Crashed) else in_short(first)
