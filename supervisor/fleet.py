"""A fleet run from Python."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.actors import Actor, ActorSpec, BadActor, Speaker, spec_of
from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import LlmConfig, LlmTable, settle_llm
from callboard.background import background
from callboard.bus import Connection, Endpoint, Exchange, ServerFailed, answer_where, connect
from callboard.clock import Clock, SystemClock
from callboard.names import checked
from callboard.store import Outcome, Touched, checked_outcome

from .access import Access, access_to
from .cell import Cell
from .client import Client, open_client
from .config import ActorTable, BusTable, FleetConfig, spec_from, staff_of
from .daemon import run_daemon
from .loop_watch import watching
from .queues import make_queues
from .records import open_records
from .reports import Reports
from .state import StateDirectory
from .undertaker import Undertaker
from .upkeep import open_guardian, open_server

Isolation = Literal["task", "process"]


class Fleet(Speaker):
    """Runs actors for the time of an ``async with`` block, and speaks to them with the owner's rights.

    Args:
        name: of the fleet.
        actors: classes, or specs where a class alone does not say enough.
        nats: URL of an outside server; default: an embedded one on a free loopback port.
        state: folder for the fleets' state; default: a temporary one, gone at the end.
        isolation: ``"task"`` runs all actors in this process and promises less (docs/guarantees.md says what):
            a handler that blocks the loop blocks them all. ``"process"`` runs each in a cell of its own, as the
            daemon does; its classes must be importable, so not defined in ``__main__``.
        local: whether what is said inside one process stays there instead of crossing the server.
        memory: by what memories are compared: the ``[memory]`` table of a fleet file.
        llm: whom the actors may ask: the ``[llm]`` table of a fleet file, or what ``settle_llm`` makes of all its
            tables about models.

    """

    def __init__(
        self, name: str, actors: Sequence[type[Actor] | ActorSpec], *, nats: str | None = None,
        state: Path | None = None, isolation: Isolation = "task",
        local: bool = True, memory: EmbedderTable = EmbedderTable(), # noqa: B008 - frozen
        llm: LlmTable | LlmConfig = LlmConfig(), # noqa: B008 - the same
    ) -> None:  # fmt: skip
        self.name = checked(name, "fleet")
        self.specs = [actor if isinstance(actor, ActorSpec) else spec_of(actor) for actor in actors]
        names = [spec.name for spec in self.specs]
        if twice := {known for known in names if names.count(known) > 1}:
            raise BadActor(f"two actors of fleet {name!r} are named {sorted(twice)[0]!r}", actor=sorted(twice)[0])
        if isolation not in ("task", "process"):
            raise BadActor(f"isolation is {isolation!r}: 'task' or 'process'")
        self._nats, self._state, self._isolation, self._local = nats, state, isolation, local
        self._memory = memory
        self._llm = settle_llm(llm, actors=names) if isinstance(llm, LlmTable) else llm
        self._cell: Cell | None = None
        self._client: Client
        self._exchange = Exchange() if local and isolation == "task" else None
        self._name = ""
        self._stack: AsyncExitStack

    async def __aenter__(self) -> "Fleet":
        self._stack = await AsyncExitStack().__aenter__()
        try:
            state = self._state or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-")))
            run = self._as_tasks if self._isolation == "task" else self._as_processes
            access = await self._stack.enter_async_context(run(StateDirectory(state, self.name)))
            opened = open_client(access, self.name, exchange=self._exchange)
            client = self._client = await self._stack.enter_async_context(opened)
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
        self._speak_over(client._endpoint)  # noqa: SLF001 - a fleet speaks as its client
        return self

    async def __aexit__(self, *exc: Any) -> bool | None:
        return await self._stack.__aexit__(*exc)

    async def outcome(self, message_id: str, good: bool, why: str = "") -> Touched:
        """Say how a message turned out; see :meth:`Client.outcome`."""
        if self._cell is None:
            return await self._client.outcome(message_id, good, why)
        said = checked_outcome(Outcome(message=message_id, good=good, why=why, said_by="the owner", trust=2))
        return await self._cell.say_outcome(said)

    @asynccontextmanager
    async def _as_processes(self, state: StateDirectory) -> AsyncIterator[Access]:
        async with run_daemon(self._config(), state) as daemon:
            await daemon.wait_ready()
            yield daemon.gate.access

    def _config(self) -> FleetConfig:
        specs = tuple(
            msgspec.structs.replace(spec, cell=spec.name) if spec.cell == "main" else spec for spec in self.specs
        )
        staff = staff_of(self._llm)
        return FleetConfig(
            name=self.name, bus=BusTable(url=self._nats or "", local=self._local),
            actors=(*map(spec_from, staff), *specs), tables=(*staff, *map(_table, specs)), home=Path.cwd(),
            memory=self._memory, llm=self._llm,
        )  # fmt: skip

    @asynccontextmanager
    async def _as_tasks(self, state: StateDirectory) -> AsyncIterator[Access]:
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            state.own()
            stack.callback(state.leave)
            self.records = await stack.enter_async_context(open_records(state.path / "daemon.db", clock=clock))
            access = await self._open_bus(stack, state, clock)
            bus = await stack.enter_async_context(connect(access.options(f"{self.name}/main")))
            endpoint = await stack.enter_async_context(
                Endpoint(bus, fleet=self.name, cell="main", clock=clock, exchange=self._exchange)
            )
            reports = Reports(self.records.take, clock=clock)
            tasks = await stack.enter_async_context(background())
            tasks.start_soon(reports.run)
            patience = max((spec.health.silent_after for spec in self.specs), default=3.0)
            await stack.enter_async_context(watching(reports.put, subject="main", silent_after=patience))
            epoch = await self.records.epochs.next("main")
            staff = [spec_from(table) for table in staff_of(self._llm)]
            homes = {spec.name: "main" for spec in self.specs} | {spec.name: spec.cell for spec in staff}
            for spec in staff:
                await stack.enter_async_context(
                    self._staff(spec, access, state, homes=homes, reports=reports, epoch=epoch)
                )
            made = Cell(
                endpoint, state=state.path, epoch=epoch, homes=homes, clock=clock, report=reports.put,
                memory=self._memory, llm=self._llm.for_cells(), home=Path.cwd(),
            )  # fmt: skip
            cell = await stack.enter_async_context(made.running())
            self._cell = cell
            await cell.open(self.specs)
            durable = await self._open_queues(bus, tasks)
            cell.begin(durable=durable)
            await answer_where(endpoint, cell.where)
            await bus.flush()
            yield access
            with anyio.CancelScope(shield=True):  # drain() is bounded by each actor's drain_for
                await cell.drain()

    @asynccontextmanager
    async def _staff(
        self,
        spec: ActorSpec,
        access: Access,
        state: StateDirectory,
        homes: dict[str, str],
        reports: Reports,
        epoch: int,
    ) -> AsyncIterator[None]:
        """Host a part of the runtime, the office or the model in the box, in a cell of its own in this process."""
        clock = SystemClock()
        async with (
            connect(access.options(f"{self.name}/{spec.cell}")) as bus,
            Endpoint(bus, fleet=self.name, cell=spec.cell, clock=clock) as endpoint,
            Cell(
                endpoint, state=state.path, epoch=epoch, homes=homes, clock=clock, report=reports.put
            ).running() as cell,
        ):
            await cell.open([spec])
            cell.begin(durable=False)
            yield
            with anyio.CancelScope(shield=True):  # as below
                await cell.drain()

    async def _open_queues(self, bus: Connection, tasks: TaskGroup) -> bool:
        """Make the queues, and file what is taken away from them; return whether there are any."""
        clock = SystemClock()
        undertaker = Undertaker(bus.queue, self.name, records=self.records, clock=clock)
        why_not = await make_queues(
            bus.queue, self.name, lambda: self.specs, undertaker, records=self.records, tasks=tasks, clock=clock
        )
        if why_not:
            await self.records.add("no-queues", self.name, f"nothing can be enqueued: {why_not}")
        return not why_not

    async def _open_bus(self, stack: AsyncExitStack, state: StateDirectory, clock: Clock) -> Access:
        if self._nats:
            return Access(url=self._nats)
        guardian = await stack.enter_async_context(open_guardian(records=self.records, clock=clock))
        opened = open_server(
            state.path / "nats", fleet=self.name, guardian=guardian, records=self.records, clock=clock, give_up=_fail
        )
        return access_to(await stack.enter_async_context(opened))


def _fail(why: str) -> None:
    """End the block: a fleet of tasks has nobody else to tell that its bus will not come back."""
    raise ServerFailed(why)


def _table(spec: ActorSpec) -> ActorTable:
    module, name = spec.actor.__module__, spec.actor.__qualname__
    if module == "__main__" or "." in name:
        raise BadActor(f"{module}.{name} cannot be imported by another process: put it at the top of a module")
    return ActorTable(
        use=f"{module}:{name}", name=spec.name, cell=spec.cell,
        replicas=spec.replicas, open=spec.open, private=spec.private, door=spec.door,
        restart=spec.restart, mailbox=spec.mailbox,
        tries=spec.tries, queue=spec.queue, may=spec.may,
        health=spec.health, intensity=spec.intensity, keep=spec.keep,
        options=_plain(spec.options),
    )  # fmt: skip


def _plain(options: Any) -> dict[str, Any]:
    plain = msgspec.to_builtins(options)
    return plain if isinstance(plain, dict) else {}
