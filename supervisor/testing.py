"""The supervisor's part of the test kit: a fleet in memory, with real cells and no server, process or daemon.

What stands between test and actor is what stands there in production: the codec, the doors, the mailboxes, the
supervision. Only the network is replaced, by one that loses, doubles and reorders on request.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from callboard.actors import Actor, ActorSpec, Host, Row, Speaker, spec_of
from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import LlmConfig, LlmTable, settle_llm
from callboard.actors.testing import Probe
from callboard.bus import Endpoint, Faults, MemoryBroker, MemoryBus, NoSuchActor, answer_where, subjects
from callboard.clock import Clock, SystemClock
from callboard.errors import Detail
from callboard.ids import new_id
from callboard.store import Outcome, Touched, checked_outcome

from .cell import Cell
from .config import spec_from, staff_of
from .formation import CellTable
from .messages import Recorded
from .queues import declare_queues, open_queues

_PAYLOAD: Final = 1024 * 1024
_LOOK_AGAIN: Final = 0.001


class Stage(Speaker):
    """Runs actors in memory for the time of an ``async with`` block, and speaks to them with the owner's rights.

    Args:
        actors: classes, specs, or probes. Each cell that a spec names is a cell here, with a connection of its own.
        faults: what happens to messages on the way; ``stage.broker.faults`` changes it under way.
        seed: of the faults and of the choice among those who listen; the same seed, the same run.
        clock: of cells and endpoints; default: the machine's.
        max_payload: bytes that one message may have.
        cells: how the actors of a cell belong together, as in a fleet file; here a cell that escalates is held.
        memory: by what memories are compared, as in a fleet file.
        llm: whom the actors may ask, as for :class:`~callboard.Fleet`.

    What the actors reported is in ``events``, what they own in ``folder``, which is temporary. A clean end of the block
    drains the cells; an exception in the block does not wait for what is in hand.

    """

    def __init__(
        self, actors: Sequence[type[Actor] | ActorSpec | Probe], *, faults: Faults | None = None, seed: int = 0,
        clock: Clock | None = None, max_payload: int = _PAYLOAD, cells: Sequence[CellTable] = (),
        memory: EmbedderTable = EmbedderTable(), # noqa: B008 - frozen
        llm: LlmTable | LlmConfig = LlmConfig(), # noqa: B008 - the same
    ) -> None:  # fmt: skip
        self._llm = settle_llm(llm) if isinstance(llm, LlmTable) else llm
        self.specs = [*map(spec_from, staff_of(self._llm)), *map(_spec, actors)]
        self.broker = MemoryBroker(faults=faults, seed=seed, max_payload=max_payload)
        self.clock: Clock = clock or SystemClock()
        self.events: list[Recorded] = []
        self.cells: dict[str, Cell] = {}
        self.buses: dict[str, MemoryBus] = {}
        self._memory = memory
        self._formations = {table.name: table for table in cells}
        self._homes = {spec.name: spec.cell for spec in self.specs}
        self._name = ""
        self._reported = anyio.Event()
        self._stack: AsyncExitStack

    async def __aenter__(self) -> "Stage":
        self._stack = await AsyncExitStack().__aenter__()
        try:
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-stage-")))
            for name in dict.fromkeys(self._homes.values()):
                await self._open(name)
            self._speak_over(await self._connect("stage-caller"))
            await answer_where(self._endpoint, self._where)
            for name, cell in self.cells.items():
                own = [spec for spec in self.specs if spec.cell == name]
                await cell.open(own, formation=self._formations.get(name))
            await declare_queues(self._endpoint.bus.queue, "stage", self.specs)
            await open_queues(self._endpoint.bus.queue, "stage", self.specs)
            for cell in self.cells.values():
                cell.begin()
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, *exc: Any) -> None:
        if exc[0] is None:
            self._stack.push_async_callback(self._settle)  # there, so that all else ends however this does
        swallowed = await self._stack.__aexit__(*exc)
        if swallowed:  # a test whose block is cut short must not count as passed
            raise AssertionError("a task of this stage was cancelled by nobody, and the block with it")

    async def _settle(self) -> None:
        await self._endpoint.flush()
        for bus in self.buses.values():  # what was said is heard before its address is left
            await bus.flush()
        for cell in reversed(self.cells.values()):  # the office last: the others settle with it
            await cell.drain()
            await cell.endpoint.flush()
        await self._endpoint.flush()  # the last answers are heard too

    async def _open(self, cell: str) -> None:
        endpoint = await self._connect(cell)
        made = Cell(
            endpoint, state=self.folder, epoch=1, homes=self._homes, clock=self.clock, report=self._report,
            memory=self._memory, llm=self._llm.for_cells(),
        )  # fmt: skip
        made.elsewhere = partial(self._spread, but=cell)
        self.cells[cell] = await self._stack.enter_async_context(made.running())

    async def _spread(self, outcome: Outcome, *, but: str = "") -> Touched:
        """Do what a daemon does: tell all cells, except the one that has said it."""
        heard = [await cell.hear_outcome(outcome) for name, cell in self.cells.items() if name != but]
        return sum(heard, Touched())

    async def outcome(self, message_id: str, good: bool, why: str = "") -> Touched:
        """Say how a message turned out, with the owner's rights; return how many episodes it concerns."""
        said = checked_outcome(Outcome(message=message_id, good=good, why=why, said_by="the owner", trust=2))
        return await self._spread(said)

    async def _connect(self, cell: str) -> Endpoint:
        bus = self.buses[cell] = await self._stack.enter_async_context(self.broker.bus())
        return await self._stack.enter_async_context(Endpoint(bus, fleet="stage", cell=cell, clock=self.clock))

    def _where(self, actor: str) -> str:
        """Answer as a daemon would."""
        found = (cell.where(actor) for cell in self.cells.values())
        return next((where for where in found if where != "unknown"), "unknown")

    def _report(self, kind: str, subject: str, text: str, detail: Detail) -> None:
        self.events.append(Recorded(kind=kind, subject=subject, text=text, detail=detail))
        self._reported.set()
        self._reported = anyio.Event()

    # --- looking

    def host(self, actor: str) -> Host:
        """Return all that is of one actor but the actor object; raises NoSuchActor."""
        for cell in self.cells.values():
            if actor in cell.hosts:
                return cell.hosts[actor]
        raise NoSuchActor(f"no actor named {actor!r} is on this stage: {', '.join(self._homes) or 'it is empty'}")

    def row(self, actor: str) -> Row:
        """Return how it stands with one actor."""
        return self.host(actor).row()

    def rows(self) -> list[Row]:
        """Return how it stands with each actor."""
        return [row for cell in self.cells.values() for row in cell.rows()]

    def events_of(self, kind: str, subject: str = "") -> list[Recorded]:
        """Return the events of a kind so far, of all actors or of `subject`."""
        return [event for event in self.events if event.kind == kind and subject in ("", event.subject)]

    async def wait_event(self, kind: str, subject: str = "", *, within: float = 1.0) -> Recorded:
        """Return the first event of a kind, waiting for it; raise AssertionError after `within` seconds."""
        with anyio.move_on_after(within):
            while not (found := self.events_of(kind, subject)):
                await self._reported.wait()
            return found[0]
        seen = ", ".join(f"{event.kind} ({event.subject})" for event in self.events) or "nothing"
        raise AssertionError(f"no event {kind!r} {subject} within {within} s; there was {seen}")

    async def wait_until(self, holds: Callable[[], bool], *, within: float = 1.0) -> None:
        """Wait until `holds` returns True; raise AssertionError after `within` seconds."""
        with anyio.move_on_after(within):
            while not holds():  # noqa: ASYNC110 - a condition of the caller's, which tells nobody that it changed
                await anyio.sleep(_LOOK_AGAIN)
            return
        raise AssertionError(f"it does not hold after {within} s; the actors: {self.rows()}")

    # --- a person's hand, and accidents

    def cell_of(self, actor: str) -> Cell:
        """Return the cell of an actor; its methods ``restart``, ``hold`` and ``revive`` are a person's hand."""
        host = self.host(actor)
        return next(cell for cell in self.cells.values() if cell.hosts.get(actor) is host)

    def disconnect(self, cell: str = "main") -> None:
        """Cut a cell off: what it publishes fails, what would reach it is lost. ``stage-caller`` is the test itself."""
        self.buses[cell].disconnect()

    def reconnect(self, cell: str = "main") -> None:
        """End a :meth:`disconnect`; what was lost stays lost."""
        self.buses[cell].reconnect()

    async def knock(self, actor: str, data: bytes, *, within: float = 1.0, as_task: bool = False) -> bytes:
        """Ask at the front door of an actor as an outsider does, with JSON or a msgpack map; return the reply.

        With `as_task` it is to be stored and done, and the reply says that it is stored.

        An actor that is not ``open`` has no front door: the reply is empty, as the server's is where nobody listens.
        Raises TimeoutError when none comes `within` seconds.
        """
        bus, address = self.buses["stage-caller"], f"_INBOX.{new_id()}"
        replies: list[bytes] = []
        came = anyio.Event()

        def take(_subject: str, reply: bytes, _address: str) -> None:
            replies.append(reply)
            came.set()

        subscription = await bus.subscribe(address, take)
        try:
            door = subjects.work_door if as_task else subjects.front_door
            bus.publish(door("stage", actor), data, reply=address)
            with anyio.fail_after(within):
                await came.wait()
        finally:
            await subscription.unsubscribe()
        return replies[0]


def _spec(actor: type[Actor] | ActorSpec | Probe) -> ActorSpec:
    if isinstance(actor, Probe):
        return actor.spec
    return actor if isinstance(actor, ActorSpec) else spec_of(actor)
