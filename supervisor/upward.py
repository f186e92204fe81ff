"""What a cell tells the daemon of its own accord. Nothing here waits, and nothing here may fail the cell."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Final

import anyio
from anyio.abc import TaskGroup

from callboard.actors import Host, InHand, Letter, Message, OutcomeUnheard, Speaker, stack_of
from callboard.bus import encode
from callboard.errors import CallboardError
from callboard.once import Once
from callboard.store import Outcome, Touched

from .memory.messages import PassOutcome
from .messages import Confine, Escalated, Left, Serves, Settled, Wedged
from .service import Supervisor
from .understudy import PAGE_BYTES

ENDED_WITHIN: Final = 5.0
"""Seconds in which the daemon ends a process that asked for it; after that it does so itself."""

TOLD_WITHIN: Final = 5.0
"""Seconds in which the daemon hears why a cell gives up; after that the process ends without a word."""

KEPT_WITHIN: Final = 1.0
"""Seconds in which the daemon takes a page of letters back."""

PASSED_WITHIN: Final = 15.0
"""Seconds in which all cells hear how a message turned out, also those that are just starting."""


class ToDaemon:
    """The :class:`~callboard.supervisor.above.Upward` of a cell with a process of its own."""

    def __init__(self, voice: Speaker, cell: str, epoch: int, tasks: TaskGroup) -> None:
        self.voice, self._cell, self._epoch, self._tasks = voice, cell, epoch, tasks
        self.alone = False
        """The daemon is gone: nobody keeps anything for us."""
        self.given_up = anyio.Event()
        """Set when the daemon knows why the actors were given up, or cannot be told."""

    def confine(self, actor: str, letter: Letter, digest: str, history: list[str]) -> None:
        """Hand over a message that failed too often."""
        packed = encode(letter)
        message = Confine(
            cell=self._cell, epoch=self._epoch, actor=actor, letter=packed, digest=digest, history=history
        )
        self._tasks.start_soon(self._tell, message)

    def served(self, actor: str) -> None:
        """Say that the first real message was handled."""
        self._tasks.start_soon(self._tell, Serves(cell=self._cell, epoch=self._epoch, actor=actor))

    async def keep(self, actor: str, letters: list[Letter]) -> int:
        """Give the oldest letters back for the next life; return how many were taken: none if there is to be none."""
        taken = 0
        for page in [] if self.alone else _pages(letters):
            left = Left(cell=self._cell, epoch=self._epoch, actor=actor, letters=encode(page))
            try:
                await self.voice.ask(Supervisor.left, left, timeout=KEPT_WITHIN)
            except CallboardError:
                return taken
            taken += len(page)
        return taken

    async def pass_outcome(self, outcome: Outcome) -> Touched:
        """Have the daemon tell all other cells how a message turned out; raises OutcomeUnheard."""
        message = PassOutcome(cell=self._cell, epoch=self._epoch, outcome=outcome)
        said = await self.voice.ask(Supervisor.pass_outcome, message, timeout=PASSED_WITHIN)
        if said.unheard:
            raise OutcomeUnheard(f"not all have heard how {outcome.message} turned out: {'; '.join(said.unheard)}")
        return said.touched

    async def say_settled(self, settled: Once) -> None:
        """Say, once it is so, that each actor has started or is held."""
        await settled.wait()
        await self._tell(Settled(cell=self._cell, epoch=self._epoch))

    def escalate(self, why: str) -> None:
        """Say why the actors are given up; then the process is to end."""
        self._tasks.start_soon(self._escalate, Escalated(cell=self._cell, epoch=self._epoch, why=why))

    async def _escalate(self, message: Escalated) -> None:
        try:
            await self.voice.ask(Supervisor.escalated, message, timeout=TOLD_WITHIN)
        except CallboardError as error:
            print(f"given up, and not told to the daemon ({error}): {message.why}", file=sys.stderr)  # noqa: T201 - its log file
        self.given_up.set()

    def wedged(self, host: Host, hand: InHand) -> None:
        """Ask to be ended."""
        why = f"{host.name} goes on with {hand.letter.envelope.type} though it was stopped: {hand.stalled or hand.gone}"
        message = Wedged(cell=self._cell, epoch=self._epoch, actor=host.name, why=why, stack=stack_of(hand.handler))
        self._tasks.start_soon(self._end, message)

    async def _end(self, message: Wedged) -> None:
        await self._tell(message)
        await anyio.sleep(ENDED_WITHIN)
        os.kill(os.getpid(), signal.SIGKILL)

    async def _tell(self, message: Message) -> None:
        try:
            await self.voice.tell(Supervisor, message)
        except CallboardError as error:
            print(f"not told to the daemon ({error}): {message}", file=sys.stderr)  # noqa: T201 - its log file


def _pages(letters: list[Letter]) -> Iterator[list[Letter]]:
    """Yield the letters in order, as many at once as one message can carry."""
    page: list[Letter] = []
    size = 0
    for letter in letters:
        size += len(encode(letter))
        if page and size > PAGE_BYTES:
            yield page
            page, size = [], len(encode(letter))
        page.append(letter)
    if page:
        yield page
