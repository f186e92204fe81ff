"""What is filed of what was taken away, and what is said of what cannot be filed."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from callboard.background import background
from callboard.bus import MemoryBroker, WorkQueue, encode, subjects
from callboard.store import DeadLetter, Event
from callboard.supervisor.records import Records, open_records
from callboard.supervisor.undertaker import Undertaker
from callboard.testing import ManualClock

from .waiting import wait_until

WITHIN = 5.0


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Records]:
    async with open_records(tmp_path / "daemon.db", clock=clock) as opened:
        yield opened


@pytest.fixture
async def queue(memory_broker: MemoryBroker) -> AsyncGenerator[WorkQueue]:
    """Return the queues of a desk and of dead letters."""
    async with memory_broker.bus() as bus:
        await bus.queue.declare_dead("shop", most_bytes=1_000_000)
        await bus.queue.declare("shop", "desk", open_door=True)
        yield bus.queue


def letter_for(actor: str) -> DeadLetter:
    return DeadLetter(
        id=f"{actor}-1", actor=actor, type="Job", sender="", correlation="", causation="", trust=0, reason="", text="",
        died=1.0, subject=subjects.work("shop", actor, lane="normal", sender="front"), data=b"a job",
    )  # fmt: skip


async def test_what_is_no_letter_is_recorded_while_it_is_still_there(
    queue: WorkQueue, records: Records, memory_broker: MemoryBroker
) -> None:
    events, there = list[Event](), list[int]()
    waiting = memory_broker.queues.find("shop", "").tasks

    def note(event: Event) -> None:
        events.append(event)
        there.append(len(waiting))

    records.listeners.append(note)
    await queue.store(subjects.dead("shop", "desk"), b"\x00\xffno letter", id="odd", timeout=WITHIN)
    await queue.store(subjects.dead("shop", "desk"), encode(letter_for("desk")), id="good", timeout=WITHIN)
    async with background() as tasks:
        tasks.start_soon(Undertaker(queue, "shop", records).run)
        await wait_until(lambda: not waiting)
    [event] = events
    assert (event.kind, event.subject) == ("dead-letter-unread", "desk")
    assert r"11 bytes at cb.shop.dead.desk, taken away, that begin b'\x00\xffno letter'" in event.text
    assert there[0] > 0
    assert [letter.id for letter in await records.dead.latest(9)] == ["desk-1"]
