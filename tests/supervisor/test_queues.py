"""The queues of a fleet are opened and mended for as long as it runs, whatever the server says meanwhile."""

import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from callboard import Actor, ActorSpec, Context, Message, receive
from callboard.background import background
from callboard.bus import (
    BusUnavailable,
    ConnectOptions,
    Delivery,
    NatsServer,
    NoQueues,
    connect,
    feed_for,
    find_binary,
    subjects,
)
from callboard.bus.connection import Connection
from callboard.bus.jetstream import JetStream
from callboard.store import Event
from callboard.supervisor.queues import AGAIN_AFTER, MEND_EVERY, _open_surely, declare_queues, make_queues
from callboard.supervisor.records import Records, open_records
from callboard.supervisor.undertaker import Undertaker
from callboard.testing import ManualClock

from .test_outside_nats import free_port, listens
from .waiting import wait_until

WITHIN = 10.0
_BINARY = find_binary()


class Job(Message):
    """Something to do."""


class Desk(Actor):
    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        """Do nothing."""


DESK = ActorSpec(actor=Desk, name="desk", cell="desk")


class Server:
    """A nats-server of somebody else, which keeps queues or does not."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._config, self._port = folder, folder / "nats.conf", free_port()
        self.url = f"nats://127.0.0.1:{self._port}"
        self.start(queues=True)

    def start(self, *, queues: bool) -> None:
        """Run it, with queues or without."""
        more = f'jetstream {{ store_dir: "{self._folder}" }}' if queues else ""
        self._config.write_text(f"listen: 127.0.0.1:{self._port}\n{more}\n", encoding="utf-8")
        self._process = subprocess.Popen([_BINARY, "-c", self._config], stderr=subprocess.DEVNULL, cwd="/")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)

    def listens(self) -> bool:
        """Return whether it can be connected to."""
        return listens(self._port)

    async def start_anew(self, bus: Connection, *, queues: bool) -> None:
        """Stop it and start it with queues or without; returns when that is seen at the other end."""
        self.stop()
        self.start(queues=queues)
        with anyio.fail_after(WITHIN):
            while await _has_queues(bus) != queues:
                await anyio.lowlevel.checkpoint()


async def _has_queues(bus: Connection) -> bool | None:
    """Return whether the desk's queue is there; None while nobody says so."""
    with suppress(BusUnavailable), anyio.move_on_after(0.5):
        try:
            await bus.queue.state("shop", "desk")
        except NoQueues:
            return False
        return True
    return None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run a server of somebody else that keeps queues."""
    made = Server(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Records]:
    async with open_records(tmp_path / "daemon.db", clock=clock) as opened:
        yield opened


async def test_queues_are_opened_also_by_a_server_that_has_none_for_a_while(
    server: Server, records: Records, clock: ManualClock
) -> None:
    await wait_until(server.listens)
    async with connect(ConnectOptions(url=server.url)) as bus:
        undertaker = Undertaker(bus.queue, "shop", records=records, clock=clock)
        await declare_queues(bus.queue, "shop", [DESK])
        await server.start_anew(bus, queues=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_open_surely, bus.queue, "shop", lambda: [DESK], undertaker, records, clock)
            await wait_until(lambda: clock.sleepers == 1)
            await server.start_anew(bus, queues=True)
            await clock.advance(AGAIN_AFTER)
        await JetStream(bus).api("CONSUMER.INFO.cb_shop_desk.normal")


async def test_a_queue_that_cannot_be_opened_is_said_once_and_tried_until_it_can(
    server: Server, records: Records, clock: ManualClock
) -> None:
    events = list[Event]()
    records.listeners.append(events.append)
    await wait_until(server.listens)
    async with connect(ConnectOptions(url=server.url)) as bus:
        undertaker = Undertaker(bus.queue, "shop", records=records, clock=clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_open_surely, bus.queue, "shop", lambda: [DESK], undertaker, records, clock)
            for _ in range(3):
                await wait_until(lambda: clock.sleepers == 1)
                await clock.advance(AGAIN_AFTER)
            await wait_until(lambda: clock.sleepers == 1)
            await declare_queues(bus.queue, "shop", [DESK])
            await clock.advance(AGAIN_AFTER)
        await JetStream(bus).api("CONSUMER.INFO.cb_shop_desk.normal")
    [event] = events
    assert (event.kind, event.subject) == ("queue-damaged", "desk")
    assert event.text == "the queue of desk cannot be opened: CONSUMER.CREATE.cb_shop_desk.normal: stream not found"


async def test_the_queue_of_an_actor_that_came_later_is_mended_too(
    tmp_path: Path, records: Records, clock: ManualClock
) -> None:
    actors = list[ActorSpec]()
    await _leave_behind(tmp_path)
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        connect(_options(server)) as bus,
        background() as tasks,
    ):
        undertaker = Undertaker(bus.queue, "shop", records=records, clock=clock)
        why_not = await make_queues(
            bus.queue, "shop", lambda: actors, undertaker, records=records, tasks=tasks, clock=clock
        )
        assert not why_not
        await wait_until(lambda: clock.sleepers == 1)
        actors.append(DESK)
        assert (await bus.queue.state("shop", "desk")).waiting == 1
        await clock.advance(MEND_EVERY)
        with anyio.fail_after(WITHIN):
            while (await bus.queue.state("shop", "desk")).waiting:
                await anyio.lowlevel.checkpoint()


def _options(server: NatsServer) -> ConnectOptions:
    return server.options()


async def _leave_behind(folder: Path) -> None:
    """Leave a settled task in the desk's queue, as a server does that is killed before its deletion is written."""
    async with NatsServer.open(folder, fleet="shop") as server, connect(_options(server)) as bus:
        await declare_queues(bus.queue, "shop", [DESK])
        await bus.queue.open("shop", "desk", ack_wait=20.0)
        work = subjects.work("shop", "desk", lane="normal", sender="front")
        await bus.queue.store(work, b"job", id="job", timeout=WITHIN)
    [messages] = folder.rglob("cb_shop_desk/msgs")  # noqa: ASYNC240 - nobody else runs here
    shutil.copytree(messages, folder / "before")
    async with NatsServer.open(folder, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.done((await _take(bus)).receipt, timeout=WITHIN)
    shutil.rmtree(messages)
    shutil.copytree(folder / "before", messages)


async def _take(bus: Connection) -> Delivery:
    send, receive = anyio.create_memory_object_stream[Delivery](1)
    source = bus.queue.source("shop", "desk", feed_for(), send.send_nowait)
    source.want(1)
    with send, receive, anyio.fail_after(WITHIN):
        async with background() as tasks:
            tasks.start_soon(source.run)
            return await receive.receive()
