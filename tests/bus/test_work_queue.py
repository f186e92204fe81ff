"""The queues of JetStream, where only a real server and its files show it."""

import shutil
from pathlib import Path

import anyio
import pytest

from callboard.bus import ConnectOptions, Delivery, Feed, NatsServer, connect, feed_for, subjects
from callboard.bus.connection import Connection

WITHIN = 5.0


def _options(server: NatsServer) -> ConnectOptions:
    return ConnectOptions(url=server.url, user=server.fleet_login.user, password=server.fleet_login.password)


def _messages(folder: Path) -> Path:
    """Return where the server keeps the tasks of the desk."""
    [found] = folder.rglob("cb_shop_desk/msgs")
    return found


async def _store(bus: Connection, task: str, feed: Feed) -> None:
    subject = subjects.work("shop", "desk", lane=feed.lane, partition=feed.partition, sender="front")
    await bus.queue.store(subject, task.encode(), id=task, timeout=WITHIN)


async def _take(bus: Connection, feed: Feed) -> Delivery:
    got: list[Delivery] = []
    come = anyio.Event()

    def take(delivery: Delivery) -> None:
        got.append(delivery)
        come.set()

    source = bus.queue.source("shop", "desk", feed, take)
    source.want(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        with anyio.fail_after(WITHIN):
            await come.wait()
        tasks.cancel_scope.cancel()
    return got[0]


async def _waiting(bus: Connection) -> list[bytes]:
    return [each.data async for each in bus.queue.waiting("shop", "desk")]


@pytest.mark.parametrize("feed", [feed_for(), feed_for(priority="low"), feed_for(key="a")], ids=lambda feed: feed.name)
async def test_what_was_settled_and_came_back_with_a_killed_server_is_taken_out_and_nothing_else(
    tmp_path: Path, feed: Feed
) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare("shop", "desk", open_door=True)
        await bus.queue.open("shop", "desk", open_door=True, ack_wait=20.0)
        await _store(bus, "settled", feed)
    messages = _messages(tmp_path)
    shutil.copytree(messages, tmp_path / "before")
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.done((await _take(bus, feed)).receipt, timeout=WITHIN)
        assert await _waiting(bus) == []
    shutil.rmtree(messages)
    shutil.copytree(tmp_path / "before", messages)  # as if it had died before the deletion was written
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await _store(bus, "new", feed)
        assert (await _take(bus, feed)).data == b"new", "nobody is given the other one"
        assert await _waiting(bus) == [b"settled", b"new"]
        assert await bus.queue.mend("shop", "desk") == 1
        assert await _waiting(bus) == [b"new"]
        assert await bus.queue.mend("shop", "desk") == 0
