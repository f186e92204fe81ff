"""Durable work as an actor sees it: done once, all at once, and never silently gone."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from callboard import Actor, BadActor, Context, Message, receive
from callboard.actors import ActorSpec, Grant, Letter
from callboard.actors.burial import COPIES_MOST
from callboard.actors.tasks import REMEMBERED_FOR, SWEEP_EVERY
from callboard.bus import (
    VERSION,
    Envelope,
    Kind,
    MessageRefused,
    MessageTooLarge,
    NoSuchActor,
    QueueFull,
    Trust,
)
from callboard.store import ActorFile, DeadLetter, Fenced, Outgoing
from callboard.testing import ManualClock, Stage

from .holdup import Holdup

WITHIN = 5.0


class Job(Message):
    number: int = 0
    what: str = ""


class Note(Message):
    text: str


class Teller(Actor):
    """Hears what tasks say."""

    async def started(self, ctx: Context) -> None:
        self.heard: list[str] = []

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        NOTES.append(message.text)


NOTES: list[str] = []
CALLS: list[str] = []
GATES: dict[str, anyio.Event] = {}


async def paid(what: str) -> str:
    CALLS.append(what)
    return f"{what}!"


class Worker(Actor):
    may = Grant(tell=("teller",), enqueue=("worker", "teller", "nobody"), publish=("news",), act=("send",))

    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        CALLS.append(f"job {message.number}")
        await getattr(self, message.what or "count")(message, ctx)

    async def count(self, message: Job, ctx: Context) -> None:
        await ctx.memory.incr("done")

    async def fail(self, message: Job, ctx: Context) -> None:
        await ctx.memory.incr("done")
        await ctx.tell("teller", Note(text="failed"))
        raise ValueError("no luck")

    async def once(self, message: Job, ctx: Context) -> None:
        """Fail the first time, after a step."""
        answer = await ctx.step("pay", paid, "model")
        await ctx.memory.put("answer", answer)
        if ctx.attempt == 1:
            raise ValueError("the first time")

    async def twice(self, message: Job, ctx: Context) -> None:
        await ctx.step("pay", paid, "a")
        await ctx.step("pay", paid, "b")

    async def changed(self, message: Job, ctx: Context) -> None:
        """Take another step at the second try."""
        await ctx.step(f"pay-{ctx.attempt}", paid, "model")
        if ctx.attempt == 1:
            raise ValueError("the first time")

    async def act(self, message: Job, ctx: Context) -> None:
        await ctx.act("send", self._send)

    async def _send(self) -> None:
        CALLS.append("sent")
        raise OSError("was it sent?")

    async def speak(self, message: Job, ctx: Context) -> None:
        for number in range(3):
            await ctx.tell("teller", Note(text=f"{message.number}-{number}"))
        await ctx.enqueue("teller", Note(text=f"task {message.number}"))

    async def lost(self, message: Job, ctx: Context) -> None:
        await ctx.enqueue("nobody", Note(text="lost"))
        await ctx.tell("teller", Note(text="after"))

    async def cut(self, message: Job, ctx: Context) -> None:
        """Be cancelled, at the first try, when the step is done and before that is written down."""
        with anyio.CancelScope() as scope:

            async def pay() -> None:
                CALLS.append("paid once")
                if ctx.attempt == 1:
                    scope.cancel()

            await ctx.step("pay", pay)
        if ctx.attempt == 1:
            raise ValueError("cut short")

    async def gate(self, message: Job, ctx: Context) -> None:
        await ctx.memory.put("seen", message.number)
        await GATES["gate"].wait()

    async def foreign(self, message: Job, ctx: Context) -> None:
        """Be told, the first time, that a file is lost which is not this actor's."""
        if CALLS.count(f"job {message.number}") == 1:
            raise Fenced("the file of somebody else")

    async def paid(self, message: Job, ctx: Context) -> None:
        """Take a step, and wait."""
        await ctx.step("pay", paid, "model")
        ctx.progress("waiting")
        await GATES["gate"].wait()

    async def update(self, message: Job, ctx: Context) -> None:
        memory: Any = await ctx.memory.open()
        await memory.update("sum", lambda value: value + 1, type=int, default=0)
        await anyio.lowlevel.checkpoint()


class Crowd(Worker):
    concurrency = 8


@pytest.fixture(autouse=True)
def forget() -> None:
    NOTES.clear()
    CALLS.clear()
    GATES.clear()


async def memory_of(stage: Stage, key: str, actor: str = "worker") -> Any:
    return await (await stage.cell_of(actor).memory_of(actor)).get(key, default=None)


def tasks_of(stage: Stage, actor: str = "worker") -> Any:
    return stage.host(actor).tasks


async def waiting(stage: Stage, actor: str = "worker") -> int:
    return (await stage.buses["stage-caller"].queue.state("stage", actor)).waiting


async def settle(stage: Stage, *, done: int = 0, buried: int = 0, actor: str = "worker") -> None:
    await stage.wait_until(
        lambda: (tasks_of(stage, actor).done, tasks_of(stage, actor).buried) == (done, buried), within=WITHIN
    )
    with anyio.fail_after(WITHIN):
        while await waiting(stage, actor):  # noqa: ASYNC110 - the queue tells nobody
            await anyio.sleep(0.01)


async def test_a_task_is_done_and_gone() -> None:
    async with Stage([Worker, Teller]) as stage:
        for number in range(5):
            await stage.enqueue(Worker.job, Job(number=number))
        await settle(stage, done=5)
        assert await memory_of(stage, "done") == 5
        assert [f"job {number}" for number in range(5)] == CALLS


async def test_the_same_id_is_done_once_also_when_the_queue_has_forgotten_it() -> None:
    async with Stage([Worker, Teller]) as stage:
        assert await stage.enqueue(Worker.job, Job(), id="job-1") == "job-1"
        await settle(stage, done=1)
        stage.broker.queues.queues["stage", "worker"].known.clear()
        await stage.enqueue(Worker.job, Job(), id="job-1")
        await settle(stage, done=2)
        assert await memory_of(stage, "done") == 1
        assert len(CALLS) == 1


async def test_what_a_failed_try_did_does_not_count_and_it_is_tried_again() -> None:
    async with Stage([ActorSpec(actor=Worker, name="worker", cell="main", may=Worker.may, tries=2), Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what="fail"))
        await settle(stage, buried=1)
        assert len(CALLS) == 2
        assert await memory_of(stage, "done") is None
        assert NOTES == []


async def test_a_step_is_taken_once_though_its_task_is_tried_twice() -> None:
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what="once"))
        await settle(stage, done=1)
        assert CALLS == ["job 0", "model", "job 0"]
        assert await memory_of(stage, "answer") == "model!"


@pytest.mark.parametrize(
    ("what", "code"), [("twice", "two steps named 'pay'"), ("changed", "took steps that this one did not: pay-1")]
)
async def test_steps_that_cannot_be_told_apart_or_changed_are_an_error(what: str, code: str) -> None:
    spec = ActorSpec(actor=Worker, name="worker", cell="main", may=Worker.may, tries=2)
    async with Stage([spec, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what=what))
        await settle(stage, buried=1)
        assert code in stage.events_of("task-quarantined")[0].text


async def test_an_act_that_was_begun_and_did_not_end_is_for_a_person() -> None:
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what="act"))
        await settle(stage, buried=1)
        assert CALLS.count("sent") == 1
        [event] = stage.events_of("task-quarantined")
        assert event.detail["code"] == "act-unsettled"


async def test_what_a_task_says_leaves_in_order_when_it_is_done() -> None:
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=7, what="speak"))
        await stage.wait_until(lambda: len(NOTES) == 4, within=WITHIN)
        assert NOTES[:3] == ["7-0", "7-1", "7-2"]
        assert NOTES[3] == "task 7"
        file = await stage.cell_of("worker").file_of("worker")
        with anyio.fail_after(WITHIN):
            while await file.tasks.leaving():  # noqa: ASYNC110 - the file tells nobody
                await anyio.sleep(0.01)


async def test_what_is_enqueued_for_nobody_goes_to_the_quarantine_and_holds_nothing_up() -> None:
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what="lost"))
        await settle(stage, done=1)
        await stage.wait_until(lambda: NOTES == ["after"], within=WITHIN)
        [letter] = [each.data async for each in stage.buses["main"].queue.waiting("stage", "")]
        found = msgspec.msgpack.decode(letter, type=DeadLetter)
        assert (found.actor, found.reason, found.type) == ("nobody", "no-such-actor", "Note")


async def test_what_was_done_is_known_though_its_actor_is_stopped_in_that_moment() -> None:
    """The record of a step is written though the handler is cancelled between its effect and its record."""
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what="cut"))
        await settle(stage, done=1)
        assert CALLS.count("paid once") == 1


async def test_what_a_task_changes_is_seen_by_others_when_it_is_done() -> None:
    GATES["gate"] = anyio.Event()
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=3, what="gate"))
        await stage.wait_until(lambda: CALLS == ["job 3"], within=WITHIN)
        assert await memory_of(stage, "seen") is None
        GATES["gate"].set()
        await settle(stage, done=1)
        assert await memory_of(stage, "seen") == 3


async def test_counters_and_updates_of_tasks_at_once_add_up() -> None:
    spec = ActorSpec(actor=Crowd, name="crowd", cell="main", may=Worker.may)
    async with Stage([spec]) as stage:
        for number in range(40):
            await stage.enqueue("crowd", Job(number=number, what="update" if number % 2 else "count"))
        await settle(stage, done=40, actor="crowd")
        assert await memory_of(stage, "sum", "crowd") == 20
        assert await memory_of(stage, "done", "crowd") == 20


async def test_a_message_that_does_not_fit_is_kept_whole_with_its_path() -> None:
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue("worker", Note(text="not for you"))
        await settle(stage, buried=1)
        [event] = stage.events_of("task-quarantined")
        assert event.detail["code"] == "message-refused"


async def test_a_full_queue_and_bad_arguments_are_refused_before_anything_is_stored() -> None:
    GATES["gate"] = anyio.Event()
    spec = ActorSpec(actor=Worker, name="worker", cell="main", may=Worker.may, queue=2)
    async with Stage([spec, Teller]) as stage:
        bad: list[dict[str, Any]] = [
            {"id": "a b"}, {"id": "a\r\nX: y"}, {"key": "x" * 200}, {"delay": -1.0}, {"priority": "urgent"},
        ]  # fmt: skip
        for wrong in bad:
            with pytest.raises(MessageRefused, match=next(iter(wrong))):
                await stage.enqueue(Worker.job, Job(), **wrong)
        with pytest.raises(MessageRefused, match="one order"):
            await stage.enqueue(Worker.job, Job(), key="a", delay=1.0)
        with pytest.raises(NoSuchActor):
            await stage.enqueue("nobody", Job())
        for number in range(2):
            await stage.enqueue(Worker.job, Job(number=number, what="gate"))
        with pytest.raises(QueueFull) as refused:
            await stage.enqueue(Worker.job, Job())
        assert refused.value.depth == 2
        GATES["gate"].set()
        await settle(stage, done=2)


async def test_a_conversation_keeps_its_order_through_failures() -> None:
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=1, what="once"), key="c-1")
        await stage.enqueue(Worker.job, Job(number=2), key="c-1")
        await settle(stage, done=2)
        assert [call for call in CALLS if call.startswith("job")] == ["job 1", "job 1", "job 2"]


async def test_what_is_delayed_waits_and_what_is_late_is_taken_away() -> None:
    clock = ManualClock()
    async with Stage([Worker, Teller], clock=clock) as stage:
        stage.broker.queues.clock = clock
        await stage.enqueue(Worker.job, Job(number=1), delay=60.0)
        await stage.enqueue(Worker.job, Job(number=2))
        await settle_but(stage, 1)
        assert CALLS == ["job 2"]
        await clock.advance(61.0)
        await settle(stage, done=2)
        GATES["gate"] = anyio.Event()
        await stage.enqueue(Worker.job, Job(number=3, what="gate"))
        await stage.wait_until(lambda: "job 3" in CALLS, within=WITHIN)
        await stage.enqueue(Worker.job, Job(number=4), deadline=5.0)
        await clock.advance(6.0)
        GATES["gate"].set()
        await settle(stage, done=3, buried=1)
        assert stage.events_of("task-quarantined")[0].detail["code"] == "task-expired"


async def settle_but(stage: Stage, left: int) -> None:
    with anyio.fail_after(WITHIN):
        while await waiting(stage) > left:  # noqa: ASYNC110 - the queue tells nobody
            await anyio.sleep(0.01)


async def test_a_higher_lane_goes_first() -> None:
    GATES["gate"] = anyio.Event()
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=0, what="gate"))
        await stage.wait_until(lambda: CALLS == ["job 0"], within=WITHIN)
        for number in range(1, 7):
            await stage.enqueue(Worker.job, Job(number=number), priority="low")
        await stage.enqueue(Worker.job, Job(number=99), priority="high")
        await anyio.sleep(0.1)
        GATES["gate"].set()
        await settle(stage, done=8)
        assert CALLS.index("job 99") <= 3, "but for what was in the mailbox already"


class News(Message):
    text: str


class Reader(Actor):
    """Keeps its news until it has read them."""

    @receive(topic="news", durable=True)
    async def news(self, message: News, ctx: Context) -> None:
        CALLS.append(f"{ctx.attempt} {message.text}")
        await ctx.memory.incr("read")
        if message.text == "bad" and ctx.attempt == 1:
            raise ValueError("the first time")


class Other(Reader):
    """Has a copy of its own."""


async def test_an_event_of_a_durable_topic_is_done_once_by_each_actor_and_tried_again() -> None:
    async with Stage([Reader, Other]) as stage:
        await stage.publish("news", News(text="good"))
        await stage.publish("news", News(text="bad"))
        for actor in ("reader", "other"):
            await settle(stage, done=2, actor=actor)
            assert await memory_of(stage, "read", actor) == 2
        assert sorted(CALLS) == ["1 bad", "1 bad", "1 good", "1 good", "2 bad", "2 bad"]


async def test_all_handlers_of_a_topic_are_durable_or_none() -> None:
    with pytest.raises(BadActor, match="whether it is durable"):

        class Torn(Actor):  # pyright: ignore[reportUnusedClass]  # making it is the test
            @receive(topic="news", durable=True)
            async def news(self, message: News, ctx: Context) -> None: ...

            @receive(topic="news")
            async def note(self, message: Note, ctx: Context) -> None: ...


async def test_a_file_that_another_process_holds_delays_a_task_and_costs_it_no_try() -> None:
    spec = ActorSpec(actor=Worker, name="worker", cell="main", may=Worker.may, tries=1)
    async with Stage([spec, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=1))
        await settle(stage, done=1)
        file = await stage.cell_of("worker").file_of("worker")
        other = sqlite3.connect(file.db.path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        await stage.enqueue(Worker.job, Job(number=2))
        await stage.wait_event("task-waits", "worker", within=10.0)
        other.execute("ROLLBACK")
        other.close()
        await stage.wait_until(lambda: tasks_of(stage).done == 2, within=15.0)
        assert await memory_of(stage, "done") == 2
        assert not stage.events_of("task-quarantined")


async def test_what_is_too_large_is_refused_before_anything_is_stored() -> None:
    async with Stage([Worker, Teller]) as stage:
        with pytest.raises(MessageTooLarge):
            await stage.enqueue(Worker.job, Job(what="x" * 8_000_000))
        assert await waiting(stage) == 0


async def test_a_poisoned_task_among_many_costs_only_itself() -> None:
    spec = ActorSpec(actor=Crowd, name="crowd", cell="main", may=Worker.may, tries=2)
    async with Stage([spec]) as stage:
        for number in range(1000):
            await stage.enqueue("crowd", Job(number=number, what="fail" if number == 500 else ""))
        await stage.wait_until(lambda: tasks_of(stage, "crowd").done == 999, within=30.0)
        await settle(stage, done=999, buried=1, actor="crowd")
        assert await memory_of(stage, "done", "crowd") == 999


async def test_what_two_tasks_of_one_id_enqueue_are_two() -> None:
    """Their actors differ: the id of what follows is made of the actor, the task and its place."""
    other = ActorSpec(actor=Worker, name="other", cell="main", may=Worker.may)
    async with Stage([Worker, other, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=1, what="speak"), id="order-17")
        await stage.enqueue("other", Job(number=2, what="speak"), id="order-17")
        await stage.wait_until(lambda: len(NOTES) == 8, within=WITHIN)
        assert sorted(note for note in NOTES if note.startswith("task")) == ["task 1", "task 2"]


async def test_what_was_in_the_mailbox_of_a_held_actor_keeps_its_order() -> None:
    GATES["gate"] = anyio.Event()
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=0, what="gate"))
        await stage.wait_until(lambda: CALLS == ["job 0"], within=WITHIN)
        for number in range(1, 5):
            await stage.enqueue(Worker.job, Job(number=number))
        await stage.wait_until(lambda: len(stage.host("worker").mailbox) == 2, within=WITHIN)
        stage.cell_of("worker").hold("worker", why="a while")
        GATES["gate"].set()
        await stage.wait_until(lambda: stage.row("worker").state == "held", within=WITHIN)
        stage.cell_of("worker").revive("worker")
        await stage.wait_until(lambda: "job 4" in CALLS, within=WITHIN)
        order = [call for call in CALLS if call in {"job 1", "job 2", "job 3", "job 4"}]
        assert order == ["job 1", "job 2", "job 3", "job 4"]


async def test_a_task_is_nobodys_to_take_back() -> None:
    GATES["gate"] = anyio.Event()
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(number=0, what="gate"))
        await stage.enqueue(Worker.job, Job(number=1), id="job-1")
        await stage.wait_until(lambda: len(stage.host("worker").mailbox) == 1, within=WITHIN)
        stage.host("worker").cancel("job-1")
        GATES["gate"].set()
        await settle(stage, done=2)


class Back(Stage):
    """A fleet that was away for longer than its files remember, and had done so much before."""

    done = 2500

    async def _open(self, cell: str) -> None:
        then = ManualClock(now=self.clock.now() - REMEMBERED_FOR - 1.0)
        async with ActorFile.open(self.folder, "worker", epoch=1, clock=then) as file:
            rows = [(f"job-{number}", then.now()) for number in range(self.done)]
            await file.db.write(lambda conn: conn.executemany("INSERT INTO inbox VALUES (?, ?)", rows).rowcount)
        await super()._open(cell)


async def test_what_was_done_long_ago_is_forgotten_all_of_it_and_not_before_it_may_have_been_delivered_again() -> None:
    clock = ManualClock()
    async with Back([Worker, Teller], clock=clock) as stage:
        await stage.enqueue(Worker.job, Job(), id="job-1")  # done and not settled when the fleet went away
        await settle(stage, done=1)
        assert CALLS == []
        db = (await stage.cell_of("worker").file_of("worker")).db
        await clock.advance(SWEEP_EVERY)
        with anyio.fail_after(WITHIN):
            while await db.read(lambda conn: conn.execute("SELECT * FROM inbox LIMIT 1").fetchall()):  # noqa: ASYNC110
                await anyio.sleep(0.01)


def own_anew(path: Path) -> None:
    """Give an actor's file to a later incarnation, as on a disk whose locks do not hold."""
    with closing(sqlite3.connect(path)) as successor, successor:
        successor.execute("UPDATE owner SET epoch = 99")


async def test_a_task_that_was_taken_away_is_reported_though_its_file_cannot_forget_it() -> None:
    async with Stage([Worker, Teller]) as stage, anyio.create_task_group() as tasks:
        file, dead = await stage.cell_of("worker").file_of("worker"), stage.broker.queues.find("stage", "")
        holdup = Holdup()

        def hold_up() -> None:
            if dead.tasks:
                tasks.start_soon(file.db.read, holdup)

        stage.broker.queues.changed.append(hold_up)
        await stage.enqueue(Worker.job, Job(what="act"))
        await holdup.wait_begun()
        own_anew(file.db.path)
        holdup.end()
        event = await stage.wait_event("task-quarantined", "worker", within=WITHIN)
        assert event.detail["code"] == "act-unsettled"


async def test_a_peer_that_sends_much_nonsense_under_many_names_has_a_hundred_of_it_kept() -> None:
    async with Stage([Worker, Teller], clock=ManualClock()) as stage:
        host, error = stage.host("worker"), MessageRefused("nonsense", path="$")
        for number in range(COPIES_MOST + 10):
            envelope = Envelope(VERSION, Kind.TELL, "Nonsense", 0, f"m-{number}", f"peer-{number}")
            host.refuse(Letter(envelope, "elsewhere", Trust.EXTERNAL, 0), error)
        await anyio.wait_all_tasks_blocked()
        dead = [each async for each in stage.buses["main"].queue.waiting("stage", "")]
        assert len(dead) == COPIES_MOST


async def test_an_actor_shows_what_it_has_in_hand_and_which_steps_are_taken() -> None:
    GATES["gate"] = anyio.Event()
    async with Stage([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job(what="paid"), id="job-1")
        await stage.wait_until(lambda: CALLS == ["job 0", "model"], within=WITHIN)
        await stage.wait_until(lambda: stage.row("worker").doing == "waiting", within=WITHIN)
        shown = await stage.cell_of("worker").inspect("worker")
        assert [(each.id, each.tries, each.doing) for each in shown.held] == [("job-1", 1, "waiting")]
        assert [(each.task, each.name, each.settled, each.bytes) for each in shown.steps] == [("job-1", "pay", True, 7)]
        assert (shown.leaving, shown.queued) == (0, 1)
        GATES["gate"].set()
        await settle(stage, done=1)


async def test_an_actor_whose_file_a_later_life_owns_ends_its_tasks_and_hands_them_back() -> None:
    async with Stage([Worker, Teller]) as stage:
        own_anew((await stage.cell_of("worker").file_of("worker")).db.path)
        for number in range(5):
            await stage.enqueue(Worker.job, Job(number=number))
        event = await stage.wait_event("tasks-ended", "worker", within=WITHIN)
        assert event.detail["code"] == "fenced"
        await stage.wait_until(lambda: not tasks_of(stage).intake.held, within=WITHIN)
        assert await waiting(stage) == 5
        assert len(stage.events_of("tasks-ended")) == 1
        assert CALLS == [], "none was begun"


async def test_a_lost_file_of_somebody_else_is_not_the_end_of_an_actor_s_tasks() -> None:
    clock = ManualClock()
    async with Stage([Worker, Teller], clock=clock) as stage:
        stage.broker.queues.clock = clock
        await stage.enqueue(Worker.job, Job(what="foreign"))
        await stage.wait_event("task-waits", "worker", within=WITHIN)
        await stage.wait_until(lambda: not tasks_of(stage).intake.held, within=WITHIN)
        await clock.advance(10.0)
        await settle(stage, done=1)
        assert not stage.events_of("tasks-ended")


async def test_what_is_to_leave_a_file_that_a_later_life_owns_is_left_to_that() -> None:
    async with Stage([Worker, Teller]) as stage:
        file = await stage.cell_of("worker").file_of("worker")
        GATES["gate"] = anyio.Event()
        await stage.enqueue(Worker.job, Job(what="gate"))
        await stage.wait_until(lambda: CALLS == ["job 0"], within=WITHIN)
        await file.tasks.commit("another", file.layer(), [Outgoing("publish", "cb.stage.on.news.main", "e-1", b"{}")])
        own_anew(file.db.path)
        tasks_of(stage)._outflow.wake()
        await stage.wait_event("tasks-ended", "worker", within=WITHIN)
        assert await file.tasks.leaving() == 1
        GATES["gate"].set()


class Damaged(Stage):
    """A fleet in which the file of an actor is none."""

    async def _open(self, cell: str) -> None:
        path = self.folder / "actors" / "worker.db"
        path.parent.mkdir()
        path.write_bytes(b"no database at all" * 1000)
        await super()._open(cell)


async def test_an_actor_whose_file_is_damaged_says_once_that_it_takes_no_tasks_and_why() -> None:
    async with Damaged([Worker, Teller]) as stage:
        await stage.enqueue(Worker.job, Job())
        event = await stage.wait_event("tasks-ended", "worker", within=WITHIN)
        assert event.detail["code"] == "database-corrupt"
        assert not stage.events_of("tasks-wait")
        assert await waiting(stage) == 1
