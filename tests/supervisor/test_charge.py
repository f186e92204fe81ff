"""A cell in the daemon's care: its process is real, and ends at once, for its actor cannot be imported."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from callboard import Actor, ActorSpec, Context, Held, Message, receive
from callboard.actors import Intensity, Speaker
from callboard.background import background
from callboard.bus import Census, Endpoint, MemoryBroker, MemoryBus
from callboard.clock import SystemClock
from callboard.errors import Detail
from callboard.guardian import Guardian
from callboard.processes import began
from callboard.store import Event
from callboard.supervisor.access import Access
from callboard.supervisor.charge import Charge
from callboard.supervisor.config import ActorTable
from callboard.supervisor.group import Group
from callboard.supervisor.process import CellOrder
from callboard.supervisor.records import open_records

CLOCK = SystemClock()


class Ask(Message):
    """Anybody there?"""


class Desk(Actor):
    @receive
    async def ask(self, message: Ask, ctx: Context) -> None:
        """Never asked: its process does not come so far."""


class Care:
    """A charge, its bus, and what was recorded of it."""

    def __init__(self, charges: list[Charge], group: Group, bus: MemoryBus, voice: Speaker) -> None:
        self.charge, self.charges, self.group, self.bus, self.voice = charges[0], charges, group, bus, voice
        self.kinds: list[str] = []
        self._came = anyio.Event()

    def take(self, event: Event) -> None:
        """Note the kind of an event."""
        self.kinds.append(event.kind)
        self._came.set()
        self._came = anyio.Event()

    async def wait(self, kind: str, times: int = 1) -> None:
        """Wait until so many events of a kind were recorded."""
        with anyio.fail_after(10.0):
            while self.kinds.count(kind) < times:
                await self._came.wait()


@asynccontextmanager
async def caring(
    folder: Path, broker: MemoryBroker, *, most: int = 5, cells: Sequence[str] = ("desk",)
) -> AsyncGenerator[Care]:
    for name in ("logs", "flight"):
        (folder / name).mkdir()
    async with (
        open_records(folder / "daemon.db", clock=CLOCK) as records,
        broker.bus() as bus,
        Endpoint(bus, fleet="shop", cell="daemon", clock=CLOCK) as endpoint,
        broker.bus() as other,
        Endpoint(other, fleet="shop", cell="other", clock=CLOCK) as asking,
        background() as tasks,
    ):
        with Guardian.start() as guardian:
            charges = [
                Charge(
                    name, [ActorSpec(actor=Desk, name=name, cell=name, intensity=Intensity(most=most))],
                    endpoint=endpoint, records=records, guardian=guardian, folder=folder, clock=CLOCK,
                    make_order=partial(order, folder), revoke=lambda _: None, census=Census(clock=CLOCK),
                )
                for name in cells
            ]  # fmt: skip
            group = Group(None, charges, clock=CLOCK, tasks=tasks, report=ignore)
            care = Care(charges, group, bus, Speaker(asking))
            records.listeners.append(care.take)
            group.begin()
            yield care


def ignore(kind: str, subject: str, text: str, detail: Detail) -> None:
    """Record nothing: what these tests look for, the charge records itself."""


def order(folder: Path, cell: str, epoch: int) -> CellOrder:
    return CellOrder(
        fleet="shop", cell=cell, epoch=epoch, access=Access(url="nats://127.0.0.1:9"), state=str(folder),
        home=str(folder), homes={"desk": "desk"}, actors=[ActorTable(use="nowhere:Desk")],
        flight=str(folder / "flight" / "desk.flight"), dump=str(folder / "logs" / "desk.stack"),
    )  # fmt: skip


async def stop(charge: Charge) -> None:
    with anyio.fail_after(5.0):
        await charge.stop()


async def test_a_revival_in_the_moment_of_the_hold_is_heard(tmp_path: Path, memory_broker: MemoryBroker) -> None:
    async with caring(tmp_path, memory_broker, most=0) as care, anyio.create_task_group() as tasks:
        tasks.start_soon(care.charge.keep)
        await care.charge.settled.wait()
        assert care.charge.state == "held"
        care.group.revive("desk")
        await care.wait("cell-started", 2)
        await stop(care.charge)


async def test_who_speaks_to_a_held_cell_hears_why_it_is_held(tmp_path: Path, memory_broker: MemoryBroker) -> None:
    async with caring(tmp_path, memory_broker, most=0) as care, anyio.create_task_group() as tasks:
        tasks.start_soon(care.charge.keep)
        await care.wait("cell-held")
        why = "1 crashes within 30 s: exit code 1: cell desk: nowhere cannot be imported: ModuleNotFoundError"
        assert care.charge.why_held.startswith(why)
        with pytest.raises(Held, match=f"desk is held: {why}.*; 'callboard revive"):
            await care.voice.ask(Desk.ask, Ask(), timeout=5.0)
        await stop(care.charge)


async def test_a_cell_that_dies_while_the_bus_is_away_is_answered_for_when_it_is_back(
    tmp_path: Path, memory_broker: MemoryBroker
) -> None:
    async with caring(tmp_path, memory_broker) as care, anyio.create_task_group() as tasks:
        care.bus.disconnect()
        tasks.start_soon(care.charge.keep)
        await care.wait("stand-in-failed")
        care.bus.reconnect()
        await care.wait("cell-started", 2)
        kinds = [kind for kind in care.kinds if kind != "notice-lost"]
        assert kinds[:4] == ["cell-started", "cell-exited", "stand-in-failed", "cell-started"]
        await stop(care.charge)


async def test_a_stop_ends_while_the_bus_is_away(tmp_path: Path, memory_broker: MemoryBroker) -> None:
    async with caring(tmp_path, memory_broker) as care, anyio.create_task_group() as tasks:
        care.bus.disconnect()
        tasks.start_soon(care.charge.keep)
        await care.wait("stand-in-failed")
        await stop(care.charge)
        assert care.charge.state == "ended"


async def test_a_stop_ends_the_process_also_when_its_keeper_was_cancelled(
    tmp_path: Path, memory_broker: MemoryBroker
) -> None:
    async with caring(tmp_path, memory_broker) as care:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(care.charge.keep)
            await care.wait("cell-started")
            tasks.cancel_scope.cancel()
        pid = care.charge.pid
        assert began(pid)
        await stop(care.charge)
        assert began(pid) is None


async def test_a_cell_that_was_removed_leaves_the_others_their_stop_in_order(
    tmp_path: Path, memory_broker: MemoryBroker
) -> None:
    async with (
        caring(tmp_path, memory_broker, most=0, cells=("desk", "clerk")) as care,
        anyio.create_task_group() as tasks,
    ):
        for charge in care.charges:
            tasks.start_soon(charge.keep)
        await care.wait("cell-held", 2)
        gone = care.charges[1]
        await gone.leave()
        care.group.remove(gone)
        await gone.ended.wait()
        with anyio.fail_after(5.0):
            await care.group.end()
        assert care.group.keeper.over.is_set()
        assert list(care.group.charges) == ["desk"]
