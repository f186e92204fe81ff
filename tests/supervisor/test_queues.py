"""The queues of a fleet are opened and mended for as long as it runs, whatever the server says meanwhile."""

import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from callboard import Actor, ActorSpec, Context, Message, receive
from callboard.bus import (
    BusUnavailable,
    ConnectOptions,
    NoQueues,
    connect,
    find_binary,
)
from callboard.bus.connection import Connection
from callboard.bus.jetstream import JetStream
from callboard.store import Event
from callboard.supervisor.queues import AGAIN_AFTER, _open_surely, declare_queues
from callboard.supervisor.records import Records, open_records
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
        await declare_queues(bus.queue, "shop", [DESK])
        await server.start_anew(bus, queues=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_open_surely, bus.queue, "shop", [DESK], records, clock)
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
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_open_surely, bus.queue, "shop", [DESK], records, clock)
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
