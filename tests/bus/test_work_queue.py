"""The queues of JetStream, where only a real server and its files show it."""

import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
import pytest

from callboard.bus import (
    TOPICS,
    BusUnavailable,
    ConnectOptions,
    Delivery,
    Feed,
    NatsServer,
    NoSuchActor,
    NotStored,
    Source,
    connect,
    feed_for,
    subjects,
)
from callboard.bus.connection import Connection
from callboard.bus.jetstream import JetStream
from callboard.bus.queue import Take
from callboard.bus.work_queue import NatsQueue

WITHIN = 5.0


def _options(server: NatsServer) -> ConnectOptions:
    return server.options()


def _messages(folder: Path, stream: str = "cb_shop_desk") -> Path:
    """Return where the server keeps the messages of a stream; those of the desk's tasks by default."""
    [found] = folder.rglob(f"{stream}/msgs")
    return found


async def _store(bus: Connection, task: str, feed: Feed) -> None:
    subject = subjects.work("shop", "desk", lane=feed.lane, partition=feed.partition, sender="front")
    await bus.queue.store(subject, task.encode(), id=task, timeout=WITHIN)


async def _take(bus: Connection, feed: Feed) -> Delivery:
    return await _first(lambda take: bus.queue.source("shop", "desk", feed, take))


async def _first(source_of: Callable[[Take], Source]) -> Delivery:
    got: list[Delivery] = []
    come = anyio.Event()

    def take(delivery: Delivery) -> None:
        got.append(delivery)
        come.set()

    source = source_of(take)
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
        await bus.queue.declare("shop", "desk")
        await bus.queue.open("shop", "desk", ack_wait=20.0)
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
        assert await bus.queue.mend("shop", ["desk"]) == 1
        assert await _waiting(bus) == [b"new"]
        assert await bus.queue.mend("shop", ["desk"]) == 0


async def test_what_was_settled_comes_back_to_nobody_as_an_event_or_a_dead_letter_either(tmp_path: Path) -> None:
    """An event stays in its stream until all who take it have settled it: what one has not is not taken out."""
    takers = {"desk": ["news"], "clerk": ["news"]}
    streams = ("cbon_shop", "cbdead_shop")
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare_topics("shop", takers, ack_wait=20.0)
        await bus.queue.declare_dead("shop", most_bytes=1_000_000)
        for number in range(2):
            bus.publish(subjects.topic("shop", "news", sender="front"), b"%d" % number)
        await bus.queue.store(subjects.dead("shop", "desk", sender="desk"), b"dead", id="dead", timeout=WITHIN)
    for stream in streams:
        shutil.copytree(_messages(tmp_path, stream), tmp_path / f"before-{stream}")
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        for actor in takers:
            delivery = await _first(lambda take: bus.queue.source("shop", actor, TOPICS, take))  # noqa: B023 - at once
            await bus.queue.done(delivery.receipt, timeout=WITHIN)
        await bus.queue.done((await _first(lambda take: bus.queue.dead_source("shop", take))).receipt, timeout=WITHIN)
    for stream in streams:
        messages = _messages(tmp_path, stream)
        shutil.rmtree(messages)
        shutil.copytree(tmp_path / f"before-{stream}", messages)
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        assert await bus.queue.mend("shop", []) == 1, "the letter; of events the server sees it by itself"
        assert [await bus.queue.events("shop", actor) for actor in takers] == [1, 1]
        assert await bus.queue.mend("shop", []) == 0


async def test_a_task_is_left_for_whole_seconds_too_to_who_has_it(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare("shop", "desk")
        await bus.queue.open("shop", "desk", ack_wait=30)
        feed = msgspec.json.decode(await JetStream(bus).api("CONSUMER.INFO.cb_shop_desk.normal"))
        assert feed["config"]["ack_wait"] == 30_000_000_000


async def test_a_task_can_be_settled_twice_and_not_where_its_queue_is_gone(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare("shop", "desk")
        await bus.queue.open("shop", "desk", ack_wait=20.0)
        await _store(bus, "task", feed_for())
        receipt = (await _take(bus, feed_for())).receipt
        assert await bus.jetstream.ask(receipt, b"+ACK", timeout=WITHIN) == b""
        await bus.queue.done(receipt, timeout=WITHIN)
        await bus.queue.remove("shop", "desk")
        with pytest.raises(NotStored, match="nobody answers for the queue"):
            await bus.queue.done(receipt, timeout=WITHIN)


async def test_what_one_of_very_many_has_not_done_is_not_taken_out(tmp_path: Path) -> None:
    """The server names at most 256 takers at once, by their names: the last is one of those it names later."""
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare_topics("shop", {"zoe": ["news"]}, ack_wait=20.0)
        bus.publish(subjects.topic("shop", "news", sender="front"), b"0")
        await bus.flush()
        for number in range(256):  # who came later, so that it is done for them
            await _take_from_now_on(bus, f"clerk-{number}")
        assert await bus.queue.mend("shop", []) == 0
        assert await bus.queue.events("shop", "zoe") == 1


async def _take_from_now_on(bus: Connection, actor: str) -> None:
    config = {
        "name": actor, "durable_name": actor, "ack_policy": "explicit", "deliver_policy": "new", "mem_storage": True,
        "filter_subject": subjects.topic("shop", "news"),
    }  # fmt: skip
    await JetStream(bus).api(f"CONSUMER.CREATE.cbon_shop.{actor}", {"stream_name": "cbon_shop", "config": config})


def _interrupt(bus: Connection, call: str, happens: Callable[[], Awaitable[object]]) -> NatsQueue:
    """Return the queue of a connection, for which something happens before each call that begins so."""
    queue = bus.queue
    assert isinstance(queue, NatsQueue)
    api, happening = queue._jetstream.api, False

    async def interrupted(what: str, body: object = None, *, timeout: float = 5.0) -> bytes:
        nonlocal happening
        if what.startswith(call) and not happening:
            happening = True
            await happens()
            happening = False
        return await api(what, body, timeout=timeout)

    queue._jetstream.api = interrupted  # type: ignore[method-assign]
    return queue


@pytest.mark.parametrize("call", ["STREAM.UPDATE", "STREAM.INFO", "STREAM.DELETE"])
async def test_what_is_stored_while_its_queue_is_removed_is_refused_or_kept(tmp_path: Path, call: str) -> None:
    kept: list[bytes] = []

    async def store() -> None:
        with suppress(NotStored):
            await _store(bus, f"task-{len(kept)}", feed_for())
            kept.append(b"task-%d" % len(kept))

    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare("shop", "desk")
        queue = _interrupt(bus, call, store)
        assert await queue.remove("shop", "desk") == (kept == [])
        if kept:
            assert await _waiting(bus) == kept
            await _store(bus, "later", feed_for())  # and it takes again
        else:
            with pytest.raises(NoSuchActor):
                await _store(bus, "later", feed_for())


async def test_a_queue_whose_removal_was_cut_short_takes_again_when_it_is_declared(tmp_path: Path) -> None:
    async def fail() -> None:
        raise BusUnavailable("cut off")

    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.queue.declare("shop", "desk")
        queue = _interrupt(bus, "STREAM.DELETE", fail)
        with pytest.raises(BusUnavailable):
            await queue.remove("shop", "desk")
        with pytest.raises(NotStored, match="takes nothing now"):
            await _store(bus, "task", feed_for())
        await bus.queue.declare("shop", "desk")
        await _store(bus, "task", feed_for())
        assert await _waiting(bus) == [b"task"]


async def test_what_a_server_has_stored_for_nobody_is_taken_out_and_nothing_else(tmp_path: Path) -> None:
    """Who asks for stored messages may name any address for them, also one that a queue listens to."""
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        for actor in ("desk", "clerk"):
            await bus.queue.declare("shop", actor)
            await bus.queue.open("shop", actor, ack_wait=20.0)
        for number, feed in enumerate((feed_for(), feed_for(priority="low"), feed_for(key="a"))):
            await _store(bus, f"own-{number}", feed)
        elsewhere = subjects.work("shop", "clerk", lane="normal", sender="liar")
        await bus.queue.store(elsewhere, b"stray", id="stray", timeout=WITHIN)
        lane = subjects.work("shop", "desk", lane="normal", sender="liar")
        bus.publish("$JS.API.CONSUMER.MSG.NEXT.cb_shop_clerk.normal", b"1", reply=lane)
        with anyio.fail_after(WITHIN):
            while len(await _waiting(bus)) < 4:  # noqa: ASYNC110 - a queue tells nobody
                await anyio.sleep(0.01)
        assert await bus.queue.mend("shop", ["desk"]) == 1
        assert await _waiting(bus) == [b"own-0", b"own-1", b"own-2"]
