"""What done tasks have said leaves: in order, whatever its process and its file go through meanwhile."""

from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import TaskGroup

from callboard import Actor, Context, Message, receive
from callboard.actors import Grant
from callboard.actors.outflow import BATCH
from callboard.bus import subjects
from callboard.store import ActorFile, Database, Outgoing
from callboard.testing import Stage

from .holdup import Holdup, wait_pending

WITHIN = 5.0


class Job(Message):
    tells: int = 1


class Note(Message):
    number: int


class Ear(Actor):
    """Hears what tasks say."""

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        NOTES.append(message.number)

    @receive(topic="news")
    async def news(self, message: Note, ctx: Context) -> None:
        NOTES.append(message.number)


class Desk(Actor):
    may = Grant(tell=("ear",))

    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        for number in range(message.tells):
            await ctx.tell("ear", Note(number=number))
        await GATE[0].wait()


NOTES: list[int] = []
GATE: list[anyio.Event] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    NOTES.clear()
    GATE[:] = [anyio.Event()]


async def hold_up(db: Database, tasks: TaskGroup) -> Holdup:
    holdup = Holdup()
    tasks.start_soon(db.read, holdup)
    await holdup.wait_begun()
    return holdup


async def let_one_pass(db: Database, tasks: TaskGroup, holdup: Holdup) -> Holdup:
    """Let the one call that waits behind a holdup run; return what holds up the next one."""
    await wait_pending(db, 2)
    behind = Holdup()
    tasks.start_soon(db.read, behind)
    await wait_pending(db, 3)
    holdup.end()
    await behind.wait_begun()
    return behind


async def test_more_than_a_batch_leaves_all_of_it_and_in_order() -> None:
    async with Stage([Desk, Ear]) as stage:
        GATE[0].set()
        await stage.enqueue(Desk.job, Job(tells=3 * BATCH + 1))
        await stage.wait_until(lambda: list(range(3 * BATCH + 1)) == NOTES, within=WITHIN)


async def test_what_was_committed_leaves_though_whoever_committed_it_gave_up_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("callboard.actors.unit.WRITE_WITHIN", 0.5)
    async with Stage([Desk, Ear]) as stage, anyio.create_task_group() as tasks:
        await stage.enqueue(Desk.job, Job())
        await stage.wait_until(lambda: bool(stage.row("desk").in_hand), within=WITHIN)
        db, before, behind = (await stage.cell_of("desk").file_of("desk")).db, Holdup(), Holdup()
        tasks.start_soon(db.write, before)
        await before.wait_begun()
        GATE[0].set()
        await wait_pending(db, 2)
        tasks.start_soon(db.write, behind)
        await wait_pending(db, 3)
        before.end()
        await behind.wait_begun()  # the task's changes are written, in a transaction that is not committed
        event = await stage.wait_event("task-waits", "desk", within=WITHIN)
        assert event.detail["code"] == "store-stuck"
        behind.end()
        await stage.wait_until(lambda: NOTES == [0], within=WITHIN)


async def test_an_actor_that_ends_waits_until_it_is_written_down_what_has_left() -> None:
    async with Stage([Desk, Ear]) as stage:
        host: Any = stage.host("desk")
        await stage.enqueue(Desk.job, Job())
        await stage.wait_until(lambda: bool(stage.row("desk").in_hand), within=WITHIN)
        file = await stage.cell_of("desk").file_of("desk")
        async with anyio.create_task_group() as tasks:
            holdup = await hold_up(file.db, tasks)
            GATE[0].set()
            for _ in ("the commit", "a look at what is to leave", "the claim"):
                holdup = await let_one_pass(file.db, tasks, holdup)
            await stage.wait_until(lambda: NOTES == [0], within=WITHIN)
            tasks.start_soon(host.tasks.close)
            await anyio.wait_all_tasks_blocked()
            holdup.end()
        assert await file.tasks.leaving() == 0


class Died(Stage):
    """A fleet whose desk had said two things, and was about to send the first of them, when its process died."""

    async def _open(self, cell: str) -> None:
        async with ActorFile.open(self.folder, "desk", epoch=1, clock=self.clock) as file:
            await file.tasks.commit("job-1", file.layer(), [event(1), event(2)])
            [first] = await file.tasks.outbox(limit=1)
            await file.tasks.claim([first.number])
        await super()._open(cell)


def event(number: int) -> Outgoing:
    subject = subjects.topic("stage", "news", sender="main")
    return Outgoing("publish", subject, f"e-{number}", msgspec.json.encode(Note(number=number)))


async def test_what_may_have_left_before_a_death_is_reported_and_what_surely_has_not_leaves() -> None:
    async with Died([Desk, Ear]) as stage:
        await stage.wait_until(lambda: NOTES == [2], within=WITHIN)
        assert [event.detail["id"] for event in stage.events_of("message-uncertain")] == ["e-1"]
