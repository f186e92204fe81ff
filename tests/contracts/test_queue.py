"""Durable queues, in memory and in a real JetStream: what is stored is delivered until it is done, and counted."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from callboard.bus import (
    TOPICS,
    Bus,
    Delivery,
    Feed,
    MessageTooLarge,
    NoSuchActor,
    QueueFull,
    Source,
    feed_for,
    subjects,
)

from .conftest import OpenBus
from .ear import WITHIN

NORMAL = Feed("normal")


class Taker:
    """Remembers deliveries."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self._changed = anyio.Event()

    def take(self, delivery: Delivery) -> None:
        """Take one."""
        self.got.append(delivery)
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def data(self) -> list[bytes]:
        """The bytes of all so far."""
        return [each.data for each in self.got]

    async def wait(self, count: int, *, within: float = WITHIN) -> list[Delivery]:
        """Wait for `count` deliveries."""
        with anyio.fail_after(within):
            while len(self.got) < count:
                await self._changed.wait()
        return self.got


async def store(bus: Bus, fleet: str, data: bytes, *, feed: Feed = NORMAL, id: str = "", actor: str = "desk") -> bool:  # noqa: A002 - as there
    subject = subjects.work(fleet, actor, lane=feed.lane, partition=feed.partition, sender="front")
    return await bus.queue.store(subject, data, id=id or data.decode(), timeout=WITHIN)


@asynccontextmanager
async def taking(
    bus: Bus, fleet: str, feed: Feed = NORMAL, *, most: int = 1000, ack_wait: float = 30.0, want: int = 0
) -> AsyncGenerator[tuple[Taker, Source]]:
    """Open a queue and pull from one feed of it."""
    taker = Taker()
    await bus.queue.declare(fleet, "desk", most=most)
    await bus.queue.open(fleet, "desk", ack_wait=ack_wait)
    source = bus.queue.source(fleet, "desk", feed, taker.take)
    source.want(want)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        yield taker, source
        tasks.cancel_scope.cancel()


async def test_what_is_stored_is_delivered_in_order_and_gone_when_it_is_done(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, want=10) as (taker, source):
        for number in range(3):
            assert await store(bus, fleet, b"%d" % number)
        got = await taker.wait(3)
        assert taker.data == [b"0", b"1", b"2"]
        assert [each.tries for each in got] == [1, 1, 1]
        assert {each.cell for each in got} == {"front"}
        assert got[0].number < got[1].number < got[2].number
        assert source.wanted == 7
        for each in got:
            await bus.queue.done(each.receipt, timeout=WITHIN)
        assert (await bus.queue.state(fleet, "desk")).waiting == 0


async def test_no_more_is_delivered_than_is_wanted(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, want=2) as (taker, source):
        for number in range(5):
            await store(bus, fleet, b"%d" % number)
        await taker.wait(2)
        await bus.flush()
        assert len(taker.got) == 2
        source.want(3)
        await taker.wait(5)


async def test_what_is_handed_back_comes_again_after_its_delay_and_is_counted(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, want=5) as (taker, _):
        await store(bus, fleet, b"again")
        [first] = await taker.wait(1)
        began = anyio.current_time()
        bus.queue.again(first.receipt, 0.3)
        _, second = await taker.wait(2)
        assert anyio.current_time() - began > 0.25
        assert (second.data, second.tries, second.number) == (b"again", 2, first.number)
        assert second.stored == first.stored


async def test_what_nobody_settles_comes_again_unless_it_is_extended(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, want=10, ack_wait=0.4) as (taker, _):
        await store(bus, fleet, b"left")
        await store(bus, fleet, b"kept")
        kept = (await taker.wait(2))[1]
        with anyio.move_on_after(1.0):
            while True:
                bus.queue.extend(kept.receipt)
                await anyio.sleep(0.1)
        assert taker.data.count(b"left") > 1
        assert taker.data.count(b"kept") == 1


async def test_the_same_id_is_stored_once(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet):
        assert await store(bus, fleet, b"one", id="task-1")
        assert not await store(bus, fleet, b"one", id="task-1")
        assert (await bus.queue.state(fleet, "desk")).waiting == 1


async def test_a_full_queue_refuses_with_its_depth_and_takes_again_when_there_is_room(
    open_bus: OpenBus, fleet: str
) -> None:
    async with open_bus() as bus, taking(bus, fleet, most=3, want=1) as (taker, _):
        for number in range(3):
            await store(bus, fleet, b"%d" % number)
        with pytest.raises(QueueFull, match="desk is full: 3 wait") as refused:
            await store(bus, fleet, b"3")
        assert refused.value.depth == 3
        [first] = await taker.wait(1)
        await bus.queue.done(first.receipt, timeout=WITHIN)
        assert await store(bus, fleet, b"3")


async def test_a_conversation_goes_on_when_what_came_before_is_done(open_bus: OpenBus, fleet: str) -> None:
    feed = feed_for(key="customer-17")
    async with open_bus() as bus, taking(bus, fleet, feed, want=5) as (taker, _):
        for number in range(3):
            await store(bus, fleet, b"%d" % number, feed=feed)
        [first] = await taker.wait(1)
        await bus.flush()
        assert taker.data == [b"0"]
        bus.queue.again(first.receipt, 0.05)
        again = (await taker.wait(2))[1]
        assert again.data == b"0"
        await bus.queue.done(again.receipt, timeout=WITHIN)
        following = (await taker.wait(3))[2]
        assert following.data == b"1"


async def test_an_actor_without_a_queue_is_named_at_once(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus:
        with pytest.raises(NoSuchActor, match="nobody"):
            await store(bus, fleet, b"x", actor="nobody")
        with pytest.raises(NoSuchActor, match="nobody"):
            await bus.queue.state(fleet, "nobody")


async def test_what_is_too_large_is_refused_before_it_leaves(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet):
        with pytest.raises(MessageTooLarge):
            await store(bus, fleet, b"x" * (bus.max_payload + 1), id="large")


async def test_the_front_door_stores_too_and_names_no_cell(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, want=1) as (taker, _):
        where = subjects.work(fleet, "desk", lane=subjects.DOOR, sender="front")
        await bus.queue.store(where, b"{}", id="", timeout=WITHIN)
        [got] = await taker.wait(1)
        assert got.cell == ""


async def test_a_queue_can_be_declared_again_with_other_limits(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, most=1):
        await store(bus, fleet, b"0")
        await bus.queue.declare(fleet, "desk", most=2)
        await bus.queue.open(fleet, "desk", ack_wait=20.0)
        assert await store(bus, fleet, b"1")


async def test_what_waits_can_be_read_without_taking_it_and_an_empty_queue_removed(
    open_bus: OpenBus, fleet: str
) -> None:
    async with open_bus() as bus, taking(bus, fleet) as (taker, source):
        for number in range(3):
            await store(bus, fleet, b"%d" % number)
        assert [each.data async for each in bus.queue.waiting(fleet, "desk")] == [b"0", b"1", b"2"]
        assert not await bus.queue.remove(fleet, "desk")
        source.want(3)
        for each in await taker.wait(3):
            await bus.queue.done(each.receipt, timeout=WITHIN)
        assert [each async for each in bus.queue.waiting(fleet, "desk")] == []
    async with open_bus() as bus:
        assert await bus.queue.remove(fleet, "desk")
        assert await bus.queue.remove(fleet, "desk")
        with pytest.raises(NoSuchActor):
            await store(bus, fleet, b"late")
        with pytest.raises(NoSuchActor):
            [each async for each in bus.queue.waiting(fleet, "desk")]


async def test_what_stands_in_a_queue_and_is_no_task_blocks_nobody(open_bus: OpenBus, fleet: str) -> None:
    """A guest may have JetStream's own answer stored there, by the reply address that it names."""
    async with open_bus() as bus, taking(bus, fleet, want=1) as (taker, _):
        for cell in ("NOT-A-CELL", "1"):
            bus.publish(f"cb.{fleet}.do.desk.normal.0.{cell}", b"{}")
        bus.publish(f"cb.{fleet}.do.desk.nolane.0.front", b"{}")
        await bus.flush()
        await store(bus, fleet, b"good")
        [good] = await taker.wait(1)
        assert good.data == b"good"
        await bus.queue.done(good.receipt, timeout=WITHIN)
        with anyio.fail_after(WITHIN):
            while (await bus.queue.state(fleet, "desk")).waiting:  # noqa: ASYNC110 - a queue tells nobody
                await anyio.sleep(0.02)


async def test_a_queue_is_not_removed_while_an_event_waits_for_its_actor(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, taking(bus, fleet, TOPICS, want=1) as (taker, _):
        await bus.queue.declare_topics(fleet, {"desk": ["news"]}, ack_wait=20.0)
        bus.publish(subjects.topic(fleet, "news", sender="front"), b"event")
        [event] = await taker.wait(1)
        assert not await bus.queue.remove(fleet, "desk")
        await store(bus, fleet, b"task")
        assert [each.data async for each in bus.queue.waiting(fleet, "desk")] == [b"task", b"event"]
        await bus.queue.done(event.receipt, timeout=WITHIN)


async def test_events_of_a_topic_that_is_taken_no_more_can_be_read_and_are_gone_then(
    open_bus: OpenBus, fleet: str
) -> None:
    async with open_bus() as bus, taking(bus, fleet, TOPICS):
        await bus.queue.declare_topics(fleet, {"desk": ["news", "sports"]}, ack_wait=20.0)
        for topic in ("news", "sports"):
            bus.publish(subjects.topic(fleet, topic, sender="front"), topic.encode())
        await bus.flush()
        for topics, left in ((["news", "sports"], []), (["sports"], [b"news"]), ([], [b"news", b"sports"])):
            assert [each.data async for each in bus.queue.unwanted(fleet, {"desk": topics})] == left
        await bus.queue.declare_topics(fleet, {"desk": ["sports"]}, ack_wait=20.0)
        bus.publish(subjects.topic(fleet, "news", sender="front"), b"more news")
        await bus.flush()
        assert [each.data async for each in bus.queue.waiting(fleet, "desk")] == [b"sports"]
        await bus.queue.declare_topics(fleet, {"desk": []}, ack_wait=20.0)
        assert [each.data async for each in bus.queue.waiting(fleet, "desk")] == []


async def test_events_wait_for_an_actor_that_is_away_though_nobody_else_takes_any(
    open_bus: OpenBus, fleet: str
) -> None:
    async with open_bus() as bus, taking(bus, fleet, TOPICS, want=1) as (taker, _):
        await bus.queue.declare_topics(fleet, {"desk": ["news"]}, ack_wait=20.0)
        bus.publish(subjects.topic(fleet, "news", sender="front"), b"event")
        await bus.flush()
        await bus.queue.declare_topics(fleet, {}, ack_wait=20.0)
        await bus.queue.declare_topics(fleet, {"desk": ["news"]}, ack_wait=20.0)
        [event] = await taker.wait(1)
        assert event.data == b"event"
