"""A feed that is pulled gives as many as are wanted, also when what was asked for is asked for again."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from callboard.background import background
from callboard.bus import Feed, NatsServer, Source, connect, pull, subjects
from callboard.bus.connection import Connection
from callboard.bus.work_queue import stream_of
from callboard.ids import new_id

from ..contracts.ear import Ear
from ..contracts.test_queue import Taker

WITHIN = 5.0
NORMAL = Feed("normal")


class Desk:
    """A desk that pulls, and another connection that stores for it."""

    def __init__(self, bus: Connection, other: Connection, fleet: str) -> None:
        self.bus, self.other, self.fleet = bus, other, fleet
        self.taker = Taker()
        self.source: Source = bus.queue.source(fleet, "desk", NORMAL, self.taker.take)
        self._back = anyio.Event()
        bus.on_gap(lambda: self._back.set())

    async def cut(self) -> None:
        """Cut it off for a moment: the server goes on, and knows what it was asked."""
        self._back = anyio.Event()
        await self.bus.wire.drop()
        with anyio.fail_after(WITHIN):
            await self._back.wait()
        await self.bus.flush()

    async def store(self, count: int) -> None:
        """Store tasks for it."""
        place = subjects.work(self.fleet, "desk", lane="normal", sender="front")
        for _ in range(count):
            await self.other.queue.store(place, b"task", id=new_id(), timeout=WITHIN)

    async def settle(self) -> None:
        """Have all done that came, and want as many again."""
        came = list(self.taker.got)
        for delivery in came:
            await self.bus.queue.done(delivery.receipt, timeout=WITHIN)
        for _ in came:
            self.source.want(1)


@asynccontextmanager
async def pulling(server: NatsServer, want: int) -> AsyncGenerator[Desk]:
    fleet, options = f"f-{new_id()}", server.options()
    async with connect(options) as bus, connect(options) as other, background() as tasks:
        await bus.queue.declare(fleet, "desk")
        await bus.queue.open(fleet, "desk", ack_wait=30.0)
        desk = Desk(bus, other, fleet)
        desk.source.want(want)
        tasks.start_soon(desk.source.run)
        await anyio.wait_all_tasks_blocked()
        await bus.flush()
        yield desk


async def test_what_came_beyond_what_was_wanted_is_not_wanted_again_when_it_is_settled(nats_server: NatsServer) -> None:
    async with pulling(nats_server, 3) as desk:
        await desk.cut()
        await desk.store(12)
        await desk.taker.wait(6)  # the server was asked twice
        assert desk.source.wanted == 0
        await desk.settle()
        assert desk.source.wanted == 3
        await desk.taker.wait(9)
        await desk.bus.flush()
        assert len(desk.taker.got) == 9


async def test_what_was_asked_before_a_cut_is_not_asked_again_when_it_runs_out(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "EXPIRES", 1.0)
    monkeypatch.setattr(pull, "BEAT", 0.4)
    async with pulling(nats_server, 3) as desk:
        asked = Ear()
        await desk.other.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.{stream_of(desk.fleet, 'desk')}.normal", asked.hear)
        await desk.other.flush()
        await desk.cut()
        await asked.wait(2)  # after the cut, and when that has run out as well as what was asked before it
        await desk.store(12)
        await desk.taker.wait(3)
        await desk.bus.flush()
        assert len(desk.taker.got) == 3
