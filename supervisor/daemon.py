"""The supervisor daemon: it owns the state directory, the embedded server and the cells, and answers the commands.

It stays off the data paths. Messages pass through it only while an actor is down and its understudy keeps them.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from callboard.actors import ActorSpec, Speaker
from callboard.background import background
from callboard.bus import Connection, Endpoint, NoSuchActor, WorkQueue, connect
from callboard.clock import Clock, SystemClock
from callboard.errors import Detail
from callboard.guardian import Guardian
from callboard.processes import began

from .autopsy import Autopsy
from .cell import Cell
from .charge import Charge
from .config import FleetConfig
from .dead import DeadDesk
from .directory import Directory
from .errors import NotUp
from .gate import Gate, open_gate
from .group import Group, groups_of
from .inspection import Inspect, Inspected
from .lease import hold_lease
from .liaison import Liaison
from .memory.desk import MemoryDesk
from .messages import (
    ActorHealth,
    ActorRow,
    Actors,
    Done,
    Order,
    Pardon,
)
from .persons import Persons
from .process import CellOrder
from .queues import make_queues
from .records import Records, open_records
from .rehearsal import code_of
from .reload import Reload
from .remains import end_remains, keep_ledger
from .reports import Reports
from .reserved import is_reserved, keeper_of
from .roster import health_of, rows_of
from .service import Supervisor
from .state import StateDirectory, Whereabouts
from .undertaker import Undertaker
from .upkeep import open_guardian


class Daemon:
    """A running fleet. Made by :func:`run_daemon`."""

    def __init__(self, config: FleetConfig, state: StateDirectory, *, clock: Clock) -> None:
        self.config, self.state, self._clock = config, state, clock
        self.records: Records
        self.gate: Gate
        self.whereabouts: Whereabouts
        self.charges: dict[str, Charge] = {}
        self.groups: list[Group] = []
        self.stopped = anyio.Event()
        self.why_stopped = ""
        self.undertaker: Undertaker
        self.dead: DeadDesk
        self.reload = Reload(self)
        self.code = code_of()
        """Of the agents' own modules, as they were when this fleet was loaded."""
        self.homes = dict(config.homes)
        self.persons = Persons(lambda: self.config.persons, fleet=config.name, clock=clock)
        self.queue: WorkQueue
        self.durable = True
        """Whether this NATS keeps queues for us."""
        self.directory = Directory(
            self.charges, clock=clock, report=lambda kind, subject, text: self.report(kind, subject, text, {})
        )
        self.memory: MemoryDesk
        self.liaison: Liaison
        self._endpoint: Endpoint
        self.voice: Speaker
        self.reports: Reports
        self._guardian: Guardian
        self._tasks: TaskGroup

    # --- what the supervisor actor does

    async def list_actors(self) -> Actors:
        """Ask each cell that is up, at once; a cell that does not answer within half a second is shown as it is."""
        rows: dict[str, list[ActorRow]] = {}
        async with anyio.create_task_group() as tasks:
            for charge in self.charges.values():
                tasks.start_soon(self._rows_of, charge, rows)
        return Actors(fleet=self.config.name, rows=[row for name in self.charges for row in rows[name]])

    async def _rows_of(self, charge: Charge, rows: dict[str, list[ActorRow]]) -> None:
        rows[charge.name] = await rows_of(charge, self.voice, clock=self._clock)

    async def order(self, order: Order) -> Done:
        """Restart, hold or revive an actor: in its cell if that is up, else the cell itself."""
        charge = self._charge_of(order.actor)
        if charge.state == "up":
            await (charge.hold_by_hand if order.verb == "hold" else charge.release)(order.actor)
            return await self.voice.ask(keeper_of(charge.name), order, timeout=5.0, reply=Done)
        if order.verb == "hold":
            await charge.hold_by_hand(order.actor)
            charge.end_start()
            return Done(text=f"{order.actor}: held; it was {charge.state}, and its next process is told")
        if charge.pid:  # that process was told who is held when it was started
            doing = "stopping" if charge.why_held else "starting"
            raise NotUp(f"cell {charge.name} of {order.actor} is {doing}: try again", actor=order.actor)
        await charge.release(order.actor)
        await self.records.add("cell-revived", charge.name, f"{order.verb} by hand")
        return Done(text=f"{order.actor}: {self.group_of(charge).revive(charge.name)} starts again")

    async def autopsy(self, cell: str) -> Autopsy | None:
        """Return how `cell` died last."""
        charge = self.charges.get(cell)
        if charge is None:
            raise NoSuchActor(f"no cell named {cell!r}: {', '.join(self.charges)}", cell=cell)
        return await anyio.to_thread.run_sync(charge.coroner.latest)

    async def health(self, actor: str) -> ActorHealth:
        """Return all that is known of how an actor is."""
        charge = self._charge_of(actor)
        crashes = self.group_of(charge).crashes(charge.name)
        return await health_of(actor, charge, self.voice, records=self.records, clock=self._clock, crashes=crashes)

    async def inspect(self, message: Inspect) -> Inspected:
        """Have a cell show what is to be seen of one of its actors."""
        charge = self._charge_of(message.actor)
        if charge.state != "up":
            raise NotUp(f"{message.actor} is {charge.state}: only a living actor can be inspected", actor=message.actor)
        return await self.voice.ask(keeper_of(charge.name), message, timeout=5.0, reply=Inspected)

    async def release(self, digest: str) -> str:
        """Let a quarantined content through again, in the cell that refuses it too."""
        row = await self.records.release(digest)
        if row is None:
            raise NotUp(f"not exactly one message in quarantine begins with {digest!r}: see 'callboard dead ls'")
        charge = self._charge_of(row.actor)
        if charge.state == "up":
            await self.voice.tell(keeper_of(charge.name), Pardon(actor=row.actor, digest=row.digest))
        return f"{row.type} {row.digest[:12]} may reach {row.actor} again"

    def stop(self, why: str) -> None:
        """Begin to stop; :func:`run_daemon`'s block should then end."""
        self.why_stopped = self.why_stopped or why
        self.stopped.set()

    def _charge_of(self, actor: str) -> Charge:
        for charge in self.charges.values():
            if any(spec.name == actor for spec in charge.specs):
                return charge
        names = ", ".join(sorted(spec.name for spec in self.config.actors))
        raise NoSuchActor(f"no actor named {actor!r} in fleet {self.config.name!r}: {names}", actor=actor)

    def group_of(self, charge: Charge) -> Group:
        return next(group for group in self.groups if charge.name in group.charges)

    # --- life

    @asynccontextmanager
    async def running(self, *, binary: Path | None) -> AsyncIterator["Daemon"]:
        """Run the fleet for the time of the block; its actors' addresses answer when the block begins."""
        async with AsyncExitStack() as stack:
            self.state.own()
            stack.callback(self.state.leave)
            self.records = await stack.enter_async_context(
                open_records(self.state.path / "daemon.db", clock=self._clock)
            )
            ledger = self.state.path / "processes.json"
            await end_remains(ledger, self.records)
            note = await stack.enter_async_context(keep_ledger(ledger))
            guardian = await stack.enter_async_context(open_guardian(records=self.records, clock=self._clock))
            guardian.on_change = note
            self.reports = Reports(self.records.take, clock=self._clock)
            self.gate = await stack.enter_async_context(self._open_gate(guardian, binary))
            self.whereabouts = self._whereabouts()
            bus = await stack.enter_async_context(connect(self.gate.options(f"{self.config.name}/daemon")))
            self._endpoint = await stack.enter_async_context(
                Endpoint(bus, fleet=self.config.name, cell="daemon", clock=self._clock)
            )
            self.voice = Speaker(self._endpoint, "supervisor")
            await stack.enter_async_context(self._hold_lease(bus, guardian))
            tasks = await stack.enter_async_context(background())
            tasks.start_soon(self._watch_bus, bus)
            await self._open_queues(bus, tasks)
            await self._open_office(stack, tasks)
            bus.on_gap(lambda: self._on_gap(bus))
            await self._start_cells(tasks, guardian)
            stack.push_async_callback(self._stop_cells)
            yield self

    def _open_gate(self, guardian: Guardian, binary: Path | None) -> AbstractAsyncContextManager[Gate]:
        return open_gate(
            self.config, self.state.path, guardian=guardian, binary=binary, records=self.records, clock=self._clock,
            give_up=self.stop, end=self._end_user, report=self.report,
        )  # fmt: skip

    async def _open_queues(self, bus: Connection, tasks: TaskGroup) -> None:
        """Make the queues, and file what is taken away from them."""
        self.queue = bus.queue
        self.undertaker = Undertaker(bus.queue, self.config.name, records=self.records, clock=self._clock)
        self.dead = DeadDesk(self.records, self.undertaker, self.release)
        self.liaison = Liaison(self.charges, self.directory, records=self.records)
        self.memory = MemoryDesk(
            self.charges, self.directory, voice=self.voice, records=self.records, folder=self.state.path
        )
        why_not = await make_queues(
            bus.queue, self.config.name, lambda: self.config.actors, self.undertaker,
            records=self.records, tasks=tasks, clock=self._clock,
        )  # fmt: skip
        if why_not:
            self.durable = False
            await self.records.add("no-queues", self.config.name, f"nothing can be enqueued: {why_not}")

    def _hold_lease(self, bus: Connection, guardian: Guardian) -> AbstractAsyncContextManager[None]:
        return hold_lease(
            bus, self.state, outside=bool(self.config.bus.url), records=self.records, clock=self._clock,
            lost=self._lose, expect=guardian.expect,
        )  # fmt: skip

    async def _lose(self, why: str, seconds: float) -> None:
        """Stop, and kill what has not ended `seconds` later, because another daemon may soon begin."""
        self.stop(why)
        await self._clock.sleep(seconds)
        for charge in self.charges.values():
            if charge.life is not None:
                charge.life.process.send(signal.SIGKILL)

    def _whereabouts(self) -> Whereabouts:
        pid, gate = os.getpid(), self.gate
        access = {name: getattr(gate.access, name) for name in gate.access.__struct_fields__}
        return Whereabouts(
            fleet=self.config.name, pid=pid, began=began(pid) or 0, guest=gate.guest, monitor=gate.monitor, **access
        )

    async def _watch_bus(self, bus: Connection) -> None:
        why = await bus.wait_closed()
        self.stop(f"the daemon's own connection ended: {why}")

    def _on_gap(self, bus: Connection) -> None:
        self.directory.ask_again()
        text = f"the daemon's connection to the bus is back after {bus.away:.1f} s"
        self.report("bus-back", "daemon", text, {"seconds": round(bus.away, 3)})

    async def _open_office(self, stack: AsyncExitStack, tasks: TaskGroup) -> None:
        """Host the supervisor actor, and answer who asks where an actor is."""
        tasks.start_soon(self.reports.run)
        cell = await stack.enter_async_context(
            Cell(
                self._endpoint, state=self.state.path, epoch=1, homes=self.homes, clock=self._clock,
                report=self.report,
            ).running()
        )  # fmt: skip
        await cell.add(ActorSpec(actor=Supervisor, name="supervisor", cell="daemon", options=self))
        await self.directory.open(self._endpoint)

    def _end_user(self, user: str, verdict: str, why: str) -> None:
        for charge in self.charges.values():
            if charge.life is not None and charge.life.user == user:
                charge.life.condemn(verdict, why)

    def report(self, kind: str, subject: str, text: str, detail: Detail) -> None:
        """Record an event without waiting."""
        self.reports.put(kind, subject, text, detail)
        if kind == "actor-held":
            self.stop(f"the supervisor itself: {kind} {subject}: {text}")

    async def _start_cells(self, tasks: TaskGroup, guardian: Guardian) -> None:
        self._guardian, self._tasks = guardian, tasks
        for name in self.config.cells:
            await self._engage(name)
        self.groups = groups_of(self.config, self.charges, clock=self._clock, tasks=tasks, report=self.reports.put)
        for group in self.groups:
            group.begin()
        self.state.publish(self.whereabouts)

    async def _engage(self, cell: str) -> Charge:
        """Begin to keep a cell, whose addresses answer when this returns."""
        charge = self.charges[cell] = Charge(
            cell, [spec for spec in self.config.actors if spec.cell == cell], endpoint=self._endpoint,
            records=self.records, guardian=self._guardian, folder=self.state.path, clock=self._clock,
            make_order=self._make_order, revoke=self.gate.warden.revoke, census=self.directory.census,
        )  # fmt: skip
        await charge.stand_in()
        self._tasks.start_soon(charge.keep)
        return charge

    async def add_cell(self, cell: str) -> None:
        """Start a cell that the fleet file names now."""
        charge = await self._engage(cell)
        group = Group(None, [charge], clock=self._clock, tasks=self._tasks, report=self.reports.put)
        self.groups.append(group)
        group.begin()

    def _make_order(self, cell: str, epoch: int) -> CellOrder:
        config = self.config
        staff = [spec.name for spec in config.actors if is_reserved(spec.name)]
        return CellOrder(
            fleet=config.name, cell=cell, epoch=epoch,
            access=self.gate.warden.admit(cell, epoch, self.charges[cell].specs, staff=staff),
            state=str(self.state.path), home=str(config.home), homes=config.homes, actors=config.cells[cell],
            formation=config.formation_of(cell), local=config.bus.local, durable=self.durable, memory=config.memory,
            llm=config.llm.for_cells(),
            held=sorted(self.charges[cell].held), flight=str(self.charges[cell].coroner.flight),
            dump=str(self.state.path / "logs" / f"{cell}.stack"),
            fences={name: charge.epoch for name, charge in self.charges.items() if charge.epoch},
            quarantined={spec.name: self.records.confined_of(spec.name) for spec in self.charges[cell].specs},
        )  # fmt: skip

    async def wait_ready(self) -> None:
        """Wait until each cell serves or is held."""
        for charge in self.charges.values():
            await charge.settled.wait()

    async def _stop_cells(self) -> None:
        self.stop("the daemon ends")
        with anyio.CancelScope(shield=True):  # bounded by stop() itself: TERM, drain_for, KILL
            for group in reversed(self.groups):
                await group.end()
            await self.records.add("daemon-stopped", self.config.name, self.why_stopped)


def run_daemon(
    config: FleetConfig, state: StateDirectory, *, binary: Path | None = None, clock: Clock | None = None
) -> AbstractAsyncContextManager[Daemon]:
    """Run a fleet for the time of an ``async with`` block.

    Raises:
        DaemonRuns: another daemon owns the state directory.
        ServerMissing, PortTaken, ServerFailed, BusUnavailable: there is no bus to be had.

    """
    return Daemon(config, state, clock=clock or SystemClock()).running(binary=binary)
