"""The outbox: one turn of the loop and one subject make one frame, and what reached nobody comes back whole."""

# What it keeps, it must also forget:
# pyright: reportPrivateUsage=false

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from callboard.bus import (
    FRAME_MOST,
    VERSION,
    BusClosed,
    Envelope,
    Kind,
    MemoryBroker,
    MemoryBus,
    MessageTooLarge,
    encode,
    split,
)
from callboard.bus.outbox import Outbox
from callboard.errors import CallboardError

from ..contracts.ear import Ear

TO = "cb.shop.to.worker.front"
Returned = tuple[str, list[bytes], CallboardError | None]


def _part(number: int, *, size: int = 0) -> bytes:
    return encode(Envelope(VERSION, Kind.TELL, "x" * size, number, "", ""))


def _numbers(data: bytes) -> list[int]:
    return [each.schema for each in split(data) if isinstance(each, Envelope)]


class _Post:
    """An outbox on a bus, what it sent, and what it got back."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus, self.returned, self.ear = bus, list[Returned](), Ear()
        self.outbox = Outbox(bus, self._take_back)

    def _take_back(self, subject: str, parts: list[bytes], error: CallboardError | None) -> None:
        self.returned.append((subject, parts, error))

    async def frames(self, count: int) -> list[list[int]]:
        return [_numbers(data) for data in await self.ear.wait(count)]


@asynccontextmanager
async def _post(broker: MemoryBroker, *, somebody: bool = True) -> AsyncGenerator[_Post]:
    async with broker.bus() as bus, broker.bus() as receiver:
        post = _Post(bus)
        await bus.subscribe(f"{bus.inbox}.n.*", post.outbox.nobody_home)
        if somebody:
            await receiver.subscribe(">", post.ear.hear)
        yield post


async def test_what_one_turn_says_to_one_subject_is_one_frame(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        for number in range(10):
            post.outbox.put(TO, _part(number))
        assert await post.frames(1) == [list(range(10))]


async def test_another_turn_is_another_frame(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        for number in range(3):
            post.outbox.put(TO, _part(number))
            await anyio.lowlevel.checkpoint()
        assert await post.frames(3) == [[0], [1], [2]]


async def test_a_lone_message_travels_as_it_is_and_leaves_in_the_same_turn(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        data = _part(7)
        post.outbox.put(TO, data)
        assert post.bus.statistics().sent == 0
        await anyio.lowlevel.checkpoint()
        assert post.bus.statistics().sent == 1
        assert await post.ear.wait(1) == [data]


async def test_each_subject_has_its_own_frame_in_the_order_of_first_mention(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        for number in range(6):
            post.outbox.put(f"{TO}{number % 3}", _part(number))
        assert await post.frames(3) == [[0, 3], [1, 4], [2, 5]]
        assert [subject for subject, _, _ in post.ear.heard] == [f"{TO}{number}" for number in range(3)]


async def test_a_full_frame_leaves_at_once_and_order_holds(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        for number in range(FRAME_MOST * 2 + 5):
            post.outbox.put(TO, _part(number))
        assert post.bus.statistics().sent == 2
        frames = await post.frames(3)
        assert [len(frame) for frame in frames] == [FRAME_MOST, FRAME_MOST, 5]
        assert [number for frame in frames for number in frame] == list(range(FRAME_MOST * 2 + 5))


@pytest.mark.parametrize("limit", [1000, 70_000, 1024 * 1024])
async def test_no_frame_passes_the_limit_and_order_holds(limit: int) -> None:
    async with _post(MemoryBroker(max_payload=limit)) as post:
        for number in range(200):
            post.outbox.put(TO, _part(number, size=(number * 37) % 900))
        post.outbox.flush()
        await post.bus.settle()
        while sum(len(_numbers(data)) for data in post.ear.data) < 200:
            await post.ear.wait(len(post.ear.heard) + 1)
        assert [number for data in post.ear.data for number in _numbers(data)] == list(range(200))
        assert max(map(len, post.ear.data)) <= limit


async def test_a_message_of_exactly_the_limit_passes_and_one_more_is_refused_alone() -> None:
    part = _part(1, size=500)
    async with _post(MemoryBroker(max_payload=len(part))) as post:
        post.outbox.put(TO, _part(0))
        with pytest.raises(MessageTooLarge):
            post.outbox.put(TO, _part(2, size=501))
        post.outbox.put(TO, part)
        assert await post.frames(2) == [[0], [1]]


async def test_a_frame_that_reached_nobody_is_handed_back_whole_and_once(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker, somebody=False) as post:
        parts = [_part(number) for number in range(3)]
        for part in parts:
            post.outbox.put(TO, part)
        post.outbox.flush()
        await post.bus.flush()
        assert post.returned == [(TO, parts, None)]
        post.outbox.nobody_home(f"{post.bus.inbox}.n.1", b"", "")
        assert len(post.returned) == 1


async def test_a_frame_that_somebody_took_is_not_handed_back(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        post.outbox.put(TO, _part(1))
        await post.ear.wait(1)
        await post.bus.flush()
        assert post.returned == []


async def test_a_reply_that_nobody_waits_for_is_nobodys_concern(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker, somebody=False) as post:
        post.outbox.put("_CB.0123.r", _part(1))
        post.outbox.flush()
        await post.bus.flush()
        assert post.returned == []
        assert post.outbox._sent == {}


@pytest.mark.parametrize("number", ["", "0", "-1", "x", "\u00b2", "\u0661", "9" * 5000])
async def test_words_about_a_frame_that_was_never_sent_are_ignored(memory_broker: MemoryBroker, number: str) -> None:
    async with _post(memory_broker) as post:
        post.outbox.put(TO, _part(1))
        await post.ear.wait(1)
        post.outbox.nobody_home(f"{post.bus.inbox}.n.{number}", b"", "")
        assert post.returned == []


async def test_frames_are_remembered_up_to_a_bound_and_the_newest_stay(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        for number in range(600):
            post.outbox.put(TO, _part(number))
            post.outbox.flush()
        assert len(post.outbox._sent) == 512
        post.outbox.nobody_home(f"{post.bus.inbox}.n.1", b"", "")
        assert post.returned == []
        post.outbox.nobody_home(f"{post.bus.inbox}.n.600", b"", "")
        assert post.returned == [(TO, [_part(599)], None)]


async def test_nothing_is_kept_of_subjects_that_were_spoken_to_once(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        for number in range(100):
            post.outbox.put(f"_CB.{number}.r", _part(number))
        post.outbox.flush()
        assert post.outbox._frames == {}


async def test_what_cannot_be_sent_is_handed_back_with_the_reason_and_the_rest_is_sent(
    memory_broker: MemoryBroker,
) -> None:
    async with _post(memory_broker) as post:
        post.outbox.put("_CB.bad address", _part(1))
        post.outbox.put(TO, _part(2))
        assert await post.frames(1) == [[2]]
        [(subject, parts, error)] = post.returned
        assert (subject, parts) == ("_CB.bad address", [_part(1)])
        assert isinstance(error, CallboardError)


async def test_after_the_end_of_the_bus_everything_is_handed_back(memory_broker: MemoryBroker) -> None:
    async with _post(memory_broker) as post:
        pass
    post.outbox.put(TO, _part(1))
    post.outbox.flush()
    [(_, parts, error)] = post.returned
    assert parts == [_part(1)]
    assert isinstance(error, BusClosed)
