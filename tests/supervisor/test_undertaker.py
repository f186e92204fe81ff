"""What is filed of what was taken away, what is said of what cannot be filed, and what a person does with it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from callboard import Actor, ActorSpec
from callboard.background import background
from callboard.bus import MemoryBroker, NoSuchActor, WorkQueue, encode, subjects
from callboard.store import DeadLetter, Event, Quarantined
from callboard.supervisor.dead import DeadDesk, NotInQuarantine
from callboard.supervisor.records import Records, open_records
from callboard.supervisor.undertaker import Undertaker
from callboard.testing import ManualClock

from .waiting import wait_until

WITHIN = 5.0
CLOCK = ManualClock()


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Records]:
    async with open_records(tmp_path / "daemon.db", clock=clock) as opened:
        yield opened


@pytest.fixture
async def queue(memory_broker: MemoryBroker) -> AsyncGenerator[WorkQueue]:
    """Return the queues of a desk and of dead letters."""
    async with memory_broker.bus() as bus:
        await bus.queue.declare_dead("shop", most_bytes=1_000_000)
        await bus.queue.declare("shop", "desk")
        yield bus.queue


def letter_for(actor: str) -> DeadLetter:
    return DeadLetter(
        id=f"{actor}-1", actor=actor, type="Job", sender="", correlation="", causation="", trust=0, reason="", text="",
        died=1.0, subject=subjects.work("shop", actor, lane="normal", sender="front"), data=b"a job",
    )  # fmt: skip


async def refuse(digest: str) -> str:
    raise AssertionError(f"nothing is let through here, not {digest!r} either")


async def test_what_is_no_letter_is_recorded_while_it_is_still_there(
    queue: WorkQueue, records: Records, memory_broker: MemoryBroker
) -> None:
    events, there = list[Event](), list[int]()
    waiting = memory_broker.queues.find("shop", "").tasks

    def note(event: Event) -> None:
        events.append(event)
        there.append(len(waiting))

    records.listeners.append(note)
    await queue.store(subjects.dead("shop", "desk", sender="desk"), b"\x00\xffno letter", id="odd", timeout=WITHIN)
    await queue.store(
        subjects.dead("shop", "desk", sender="desk"), encode(letter_for("desk")), id="good", timeout=WITHIN
    )
    async with background() as tasks:
        tasks.start_soon(Undertaker(queue, "shop", records=records, clock=CLOCK).run)
        await wait_until(lambda: not waiting)
    [event] = events
    assert (event.kind, event.subject) == ("dead-letter-unread", "desk")
    assert r"11 bytes at cb.shop.dead.desk.desk, taken away, that begin b'\x00\xffno letter'" in event.text
    assert there[0] > 0
    assert [letter.id for letter in await records.dead.latest(9)] == ["desk-1"]


async def test_each_message_that_is_stored_again_is_recorded_though_the_next_cannot_be(
    queue: WorkQueue, records: Records
) -> None:
    events = list[Event]()
    records.listeners.append(events.append)
    for actor in ("desk", "nobody"):
        await records.dead.put(letter_for(actor))
    desk = DeadDesk(records, Undertaker(queue, "shop", records=records, clock=CLOCK), refuse)
    with pytest.raises(NoSuchActor, match="nobody"):
        await desk.retry(["desk-1", "nobody-1"])
    assert [(event.kind, event.subject) for event in events] == [("task-retried", "desk")]
    assert [letter.id for letter in await records.dead.latest(9)] == ["nobody-1"]
    assert (await queue.state("shop", "desk")).waiting == 1


async def test_no_id_is_the_id_of_nothing_also_when_there_is_one_content_alone(
    queue: WorkQueue, records: Records
) -> None:
    row = Quarantined(
        digest="abc", actor="desk", type="Job", sender="", body=b"", reason="", history=[], at=1.0, until=1e12
    )
    await records.quarantine.put(row)
    desk = DeadDesk(records, Undertaker(queue, "shop", records=records, clock=CLOCK), refuse)
    with pytest.raises(NotInQuarantine):
        await desk.drop([""])
    assert [each.digest for each in await records.quarantine.all()] == ["abc"]


async def test_an_event_whose_topic_is_not_taken_any_more_is_filed_whole_before_it_is_dropped(
    queue: WorkQueue, records: Records, memory_broker: MemoryBroker
) -> None:
    events = list[Event]()
    records.listeners.append(events.append)
    await queue.declare_topics("shop", {"desk": ["news", "sports"]}, ack_wait=20.0)
    async with memory_broker.bus() as bus:
        for topic, data in (("news", b'{"type": "Note"}'), ("news", b"no message"), ("sports", b'{"type": "Note"}')):
            bus.publish(subjects.topic("shop", topic, sender="front"), data)
        await bus.flush()
    desk = ActorSpec(actor=Actor, name="desk", cell="desk", topics=("sports",))
    await Undertaker(queue, "shop", records=records, clock=CLOCK).take_unwanted([desk])
    odd, note = await records.dead.latest(9)
    assert (note.type, note.sender, note.reason, note.data) == ("Note", "front", "topic-left", b'{"type": "Note"}')
    assert (odd.type, odd.data) == ("", b"no message")
    [event] = events
    assert (event.kind, event.subject, event.detail["count"]) == ("events-unwanted", "desk", 2)
