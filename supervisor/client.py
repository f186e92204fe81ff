"""Speaking to a running fleet from any Python program."""

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import msgspec

from callboard.actors import Json, Message, OutcomeUnheard, Speaker
from callboard.background import background
from callboard.bus import DeadlineExceeded, Endpoint, Exchange, StatusBody, connect
from callboard.clock import SystemClock
from callboard.errors import CallboardError
from callboard.ids import new_id
from callboard.store import Touched

from .access import Access
from .persons import Command, find_key, sealed
from .reserved import CLIENTS
from .state import find_daemon

if TYPE_CHECKING:
    from callboard.actors import Handler

C = TypeVar("C", bound=Command)
R = TypeVar("R", bound=Message | None)
OUTCOME_WITHIN: Final = 15.0
"""Seconds in which all cells hear how a message turned out, also those that are just starting."""
FOREVER: Final = sys.maxsize
"""Renewals of a deaf connection: a cell's owner starts another cell, but nobody starts another user's program."""


class Client(Speaker):
    """``tell``, ``ask`` and ``publish`` with the owner's rights. Made by :meth:`connect`."""

    @property
    def fleet(self) -> str:
        """The name of the fleet."""
        return self._endpoint.fleet

    async def flush(self) -> None:
        """Wait until the server has seen everything sent so far."""
        await self._endpoint.flush()

    async def command(self, handler: "Handler[C, R]", command: C, *, timeout: float) -> R:
        """Give the supervisor an order, signed with the key of who runs this program if there is one.

        Raises what :meth:`ask` does, and NoAuthor, BadPersonKey.
        """
        return await self.ask(handler, self.signed(command), timeout=timeout)

    def signed(self, command: C) -> C:
        """Return an order with the signature of who runs this program, if there is a key; raises BadPersonKey."""
        key = find_key()
        return command if key is None else sealed(command, key, fleet=self.fleet, now=time.time())

    async def outcome(self, message_id: str, good: bool, why: str = "") -> Touched:
        """Say how a message turned out: whether what was remembered in it, or recalled for it, was of use.

        Returns how many episodes it concerns. The same said again counts once; who says otherwise has changed their
        mind.

        Raises:
            InvalidEpisode: the id has not 1 to 200 characters, or `why` more than 1,000.
            OutcomeUnheard: a cell did not take it in; say it again.

        """
        from .memory.messages import SayOutcome
        from .service import Supervisor

        command = SayOutcome(message=message_id, good=good, why=why)
        said = await self.command(Supervisor.outcome, command, timeout=OUTCOME_WITHIN)
        if said.unheard:
            raise OutcomeUnheard(f"not all have heard how {message_id} turned out: {'; '.join(said.unheard)}")
        return said.touched

    async def ask_aloud(
        self, target: str, message: Message | Json, *, timeout: float, say: Callable[[str], None], every: float = 2.0
    ) -> Any:
        """Ask as :meth:`ask` does, and tell `say` every few seconds where the question is and what is done with it."""
        course, head, body = self._question(target, message, timeout)
        envelope = head.envelope(new_id(), body)
        async with background() as tasks:
            tasks.start_soon(self._follow, course.name, envelope.id, say, every)
            answer = await self._endpoint.ask(course.name, envelope, timeout=head.within)
        return course.reader.read(answer) if answer.type else None

    async def _follow(self, actor: str, question: str, say: Callable[[str], None], every: float) -> None:
        while True:
            await anyio.sleep(every)
            try:
                say(in_words(actor, await self._endpoint.status_of(question, actor)))
            except DeadlineExceeded:
                say(f"{actor} does not say how far it is: it is blocked, or cut off")
            except CallboardError as error:
                say(error.text)

    @classmethod
    @asynccontextmanager
    async def connect(cls, fleet: str = "", *, state: Path | None = None) -> "AsyncIterator[Client]":
        """Connect to the daemon that runs here for the time of the block.

        Args:
            fleet: the fleet's name; needed only where several run.
            state: the folder of the fleets' state; default: CALLBOARD_STATE, else ``.callboard`` here or above.

        Raises:
            NoSuchDaemon: none runs.
            BusUnavailable: it does not answer.

        """
        at = find_daemon(fleet=fleet, state=state)
        async with open_client(at, at.fleet) as client:
            yield client


def in_words(actor: str, status: StatusBody) -> str:
    """Return how far a question has come, for people."""
    if status.state == "in hand":
        return f"{actor} has it in hand for {status.seconds:.0f} s{f', {status.doing}' if status.doing else ''}"
    if status.state == "queued":
        return f"it waits at {actor}, behind {status.ahead} others"
    if status.state == "kept":
        return f"{actor} is starting again; it is kept until then, behind {status.ahead} others"
    return f"{actor} does not have it: its answer is on the way, or it was lost"


@asynccontextmanager
async def open_client(access: Access, fleet: str, *, exchange: Exchange | None = None) -> AsyncIterator[Client]:
    """Connect to a fleet's bus directly; `exchange`: whom it runs beside."""
    cell = f"{CLIENTS}{new_id()[-12:]}"
    async with (
        connect(msgspec.structs.replace(access.options(), renewals=FOREVER)) as bus,
        Endpoint(bus, fleet=fleet, cell=cell, clock=SystemClock(), supervised=True, exchange=exchange) as endpoint,
    ):
        yield Client(endpoint)
