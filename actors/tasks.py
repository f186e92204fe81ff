"""The durable work of one actor: from its queue to a commit, and from a failure to another try or to the quarantine.

A task leaves its queue in one of two ways only: after the actor's file has it as done, or after the quarantine has it
whole. Everything else, a death at any moment included, has it delivered again.
"""

import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.bus import Delivery
from callboard.errors import CallboardError
from callboard.store import ActorFile, TaskDone, TaskLog

from .burial import Burial, in_words
from .errors import TaskExpired
from .intake import Intake
from .letter import Letter
from .outflow import Outflow
from .patience import LOST, Patience
from .retry import judge_failure
from .unit import Unit
from .verdict import judge_hand

if TYPE_CHECKING:
    from .door import Door
    from .host import Host

SETTLE_WITHIN: Final = 5.0
MARGIN: Final = 5.0
LEAVE_WITHIN: Final = 1.0
"""Seconds that messages have to leave at an orderly end; the next life sends what is left."""
KILL_WITHIN: Final = 5.0
"""Seconds in which a silent process is seen, killed and its end confirmed, beyond ``silent_after``."""
LEAST_WAIT: Final = 20.0
REMEMBERED_FOR: Final = 30 * 86400.0
"""Seconds for which an actor's file knows what it has done: a task stored again later than that is new."""
SWEEP_EVERY: Final = 600.0


def ack_wait_of(silent_after: float) -> float:
    """Return for how long a queue leaves a task with who has it.

    The invariant: longer than it takes to see that its process is silent, to kill it and to know that it is dead. Else
    two would work on one task.
    """
    return max(LEAST_WAIT, silent_after + KILL_WITHIN + MARGIN)


class Tasks:
    """For one actor of a fleet file."""

    def __init__(self, host: "Host", door: "Door", burial: Burial, tasks: TaskGroup) -> None:
        self._host, self._door, self._burial, self._tasks = host, door, burial, tasks
        self._queue = host.endpoint.bus.queue
        self._random = random.Random()  # noqa: S311 - it spreads delays, nothing secret
        self._scope = anyio.CancelScope()
        self._file: ActorFile
        self._outflow: Outflow
        """Both from when the file is open; no task comes in before."""
        self._is_open = False
        at_once = host.spec.replicas * host.spec.actor.concurrency
        events = bool(host.table.kept)
        fleet = host.endpoint.fleet
        self.intake = Intake(self._queue, self, fleet=fleet, actor=host.name, at_once=at_once, events=events)
        self.done = self.buried = 0

    # --- life

    def start(self) -> None:
        """Begin to take tasks, and to send what an earlier life has left."""
        self._tasks.start_soon(self._run)

    async def _run(self) -> None:
        with self._scope:
            await self._until_lost(self._live)

    async def _live(self) -> None:
        host, opening = self._host, self._patience("tasks-wait")
        self._file = await opening.until_done("durable work", lambda: host.cell.file_of(host.name))
        self._outflow = Outflow(
            host.name, self._file.tasks, host.endpoint, memory=host, clock=host.clock, reporter=host.cell
        )
        self._is_open, self.intake.paused = True, host.held
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._until_lost, self._outflow.run)
            tasks.start_soon(self._until_lost, partial(self._sweep, self._file.tasks))
            await self.intake.run(tasks, ack_wait=ack_wait_of(host.spec.health.silent_after))

    async def _until_lost(self, part: Callable[[], Awaitable[None]]) -> None:
        with suppress(*LOST), self._ending():
            await part()

    @contextmanager
    def _ending(self) -> Generator[None]:
        """End all if the block finds that our file or bus is lost; what a handler raises may be of somebody else's."""
        try:
            yield
        except LOST as error:
            self._end(error)
            raise

    def _end(self, error: CallboardError) -> None:
        """Take nothing more: the file is damaged, a later life owns it, or the bus is gone, and no waiting helps."""
        if not self.intake.closed:
            text = f"no task is taken until the process has started anew: {error.text}"
            self._host.cell.report("tasks-ended", self._host.name, text, code=error.code)
            self.intake.give_back(self._written)
            self._scope.cancel()

    def _patience(self, kind: str) -> Patience:
        return Patience(kind, self._host.name, clock=self._host.clock, reporter=self._host.cell)

    async def _sweep(self, log: TaskLog) -> None:
        """Let the inbox forget what is older than anybody could ask for, until cancelled."""
        patience = self._patience("sweep-waits")
        while True:
            # Not at once: after a long absence a task may be done and its queue not know yet. It comes again first.
            await self._host.clock.sleep(SWEEP_EVERY)
            before = self._host.clock.now() - REMEMBERED_FOR
            while await patience.until_done("the sweep of its file", partial(log.sweep, before)):
                pass  # a portion at a time: others write in between

    def pause(self) -> None:
        """Give no more to the handlers."""
        self.intake.paused = True

    def resume(self) -> None:
        """End a pause."""
        self.intake.paused = False
        self.intake.dispatch()

    async def close(self) -> None:
        """Take nothing more, hand what was not begun back to the queue, and let what is done leave, for a moment."""
        if self.intake.closed:
            return
        self.pause()
        self.intake.give_back(self._written)
        with anyio.move_on_after(LEAVE_WITHIN, shield=True):
            if self._is_open:
                await self._outflow.empty()
        self._scope.cancel()

    # --- in

    def open(self, delivery: Delivery) -> Letter | None:
        """Return the letter of a delivery; None if it is too early, or was refused."""
        letter, wrong = self._door.from_queue(delivery)
        if wrong is not None:
            self.failed(letter, wrong)
            return None
        early = delivery.stored + letter.envelope.delay - self._host.clock.now()
        if letter.envelope.delay and early > 0.0:
            self.intake.again(letter.receipt, early)
            return None
        if (error := self._door.objection(letter)) is not None:
            self.failed(letter, error)
            return None
        return letter

    def accept(self, letter: Letter) -> None:
        """Write down that a letter is here."""
        letter.slot = self._host.flight.letter(self._host.name, msgspec.structs.replace(letter, delivery=None))

    def put(self, letter: Letter) -> bool:
        """Put a letter into the mailbox if there is room."""
        return self._host.mailbox.put(letter)

    def is_well(self, letter: Letter) -> bool:
        """Return whether a task still waits, or its handler comes further."""
        hand = self._host.work.hands().get(letter.envelope.id)
        if hand is None:
            return True
        limit = self._host.spec.health.stalled_after
        return judge_hand(hand, now=self._host.clock.monotonic(), stalled_after=limit).going != "stalled"

    def take_back(self, letter: Letter) -> None:
        """Keep a letter that was taken out of the mailbox, or hand it back if nothing more is to be begun here."""
        if self.intake.closed:
            self._hand_back(letter)
        else:
            self.intake.take_back(letter)

    # --- one task

    async def begin(self, letter: Letter) -> Unit | None:
        """Return the unit of work of a task; None if it is done already. Raises StoreError."""
        file, task = self._file, letter.envelope.id
        with self._ending():
            known = await file.tasks.known(task)
        letter.tries = max(letter.tries, known.tries + 1)
        return None if known.done else Unit(task, file.tasks, file.layer(), known)

    async def commit(self, unit: Unit) -> None:
        """Make a task's work durable and let its messages leave; a second delivery of it that was faster is as good."""
        try:
            with suppress(TaskDone), self._ending():
                await unit.commit()
        finally:  # also when nobody knows yet whether it was committed: the file does
            if unit.says_something:
                self._outflow.wake()

    def finished(self, letter: Letter) -> None:
        """Take a task out of its queue that the file has as done."""
        self.done += 1
        self._tasks.start_soon(self._finish, letter)

    async def _finish(self, letter: Letter) -> None:
        try:
            await self._queue.done(letter.receipt, timeout=SETTLE_WITHIN)
        except CallboardError as error:  # it will be delivered again, and found to be done
            self._host.cell.report("task-not-settled", self._host.name, error.text, id=letter.envelope.id)
        self._settled(letter)

    def failed(self, letter: Letter, error: BaseException) -> None:
        """Have a task tried again, or taken away, also one that does not come in."""
        self._tasks.start_soon(self._fail, letter, error)

    def stopped(self, letter: Letter) -> None:
        """Hand a task back that was in hand when its actor had to stop; nobody is to blame."""
        self._hand_back(letter)

    async def _fail(self, letter: Letter, error: BaseException) -> None:
        try:
            with self._ending():
                await self._judge(letter, error)
        except CallboardError as fault:  # full, locked or cut off: it is delivered again, and judged then
            self._host.cell.report("task-not-settled", self._host.name, fault.text, id=letter.envelope.id)
        self._settled(letter)

    async def _judge(self, letter: Letter, error: BaseException) -> None:
        log, task, words = self._file.tasks, letter.envelope.id, in_words(error)
        known = await log.known(task)
        if known.done:  # it was done before, and its queue has not heard so
            await self._queue.done(letter.receipt, timeout=SETTLE_WITHIN)
            return
        most, chance = self._host.spec.tries, self._random.random()
        verdict = judge_failure(error, tries=known.tries + 1, most=most, chance=chance)
        tries, history = await log.failed(task, words) if verdict.counted else (known.tries, [words])
        if verdict.judgement == "bury":
            await self._bury(letter, error, tries, history)
        else:
            self.intake.again(letter.receipt, verdict.delay)

    async def _bury(self, letter: Letter, error: BaseException, tries: int, history: list[str]) -> None:
        """Move a task into the quarantine; it leaves its queue when that has it."""
        dead = await self._burial.move(letter, error, tries, history)
        await self._queue.done(letter.receipt, timeout=SETTLE_WITHIN)
        self.buried += 1
        self._host.cell.report(
            "task-quarantined", self._host.name, f"{dead.type} {dead.id}: {dead.text}", id=dead.id, type=dead.type,
            tries=tries, code=dead.reason,
        )  # fmt: skip
        await self._file.tasks.forget(dead.id)  # last: if its process dies before, the task is not tried anew

    def expired(self, letter: Letter) -> None:
        """Take a task away that nobody wants any more."""
        text = f"{self._host.name} did not come to {letter.envelope.type} before its deadline"
        self.failed(letter, TaskExpired(text, actor=self._host.name))

    def _hand_back(self, letter: Letter) -> None:
        self.intake.again(letter.receipt)
        self._settled(letter)

    def _settled(self, letter: Letter) -> None:
        self._written(letter)
        self.intake.settled(letter)

    def _written(self, letter: Letter) -> None:
        self._host.flight.done(letter.slot)
        letter.slot = 0
