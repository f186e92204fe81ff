"""What an endpoint promises its cell, on each transport. The actor on the other side speaks the wire by hand."""

# Some promises are about what is kept, which has no public name:
# pyright: reportPrivateUsage=false

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import anyio
import msgspec
import pytest

from callboard.bus import (
    FRAME_MOST,
    VERSION,
    ActorDied,
    Bus,
    BusClosed,
    BusUnavailable,
    CreditBody,
    DeadlineExceeded,
    Endpoint,
    Envelope,
    Held,
    Kind,
    MailboxFull,
    MessageRefused,
    MessageTooLarge,
    NoSuchActor,
    NoticeBody,
    encode,
    join,
    subjects,
)
from callboard.bus.credit import MESSAGES
from callboard.clock import SystemClock
from callboard.errors import CallboardError, InvalidName, UnknownError
from callboard.ids import new_id

from .conftest import OpenBus
from .ear import WITHIN, Ear
from .raw_actor import RawActor, body_of, said

SOON = 0.5
"""Seconds within which what is known at once must be told."""


class Stage:
    """A cell that speaks, an actor that is played by hand, and a daemon that knows where actors are."""

    def __init__(self, fleet: str, speaker: Endpoint, daemon: Endpoint, actor: RawActor) -> None:
        self.fleet, self.speaker, self.daemon, self.actor = fleet, speaker, daemon, actor
        self.whereabouts: dict[str, str] = {}
        self.asked: list[str] = []

    def where(self, actor: str) -> str:
        """Answer for the daemon."""
        self.asked.append(actor)
        return self.whereabouts.get(actor, "unknown")

    async def ask(self, name: str = "worker", *, timeout: float = WITHIN, body: object = None) -> Envelope:
        """Ask as a cell does."""
        question = said(Kind.ASK, body, reply=self.speaker.inbox)
        return await self.speaker.ask(name, question, timeout=timeout)

    async def tell(self, body: object = None, *, name: str = "worker", timeout: float = WITHIN) -> None:
        """Tell as a cell does."""
        await self.speaker.tell(name, said(Kind.TELL, body, reply=self.speaker.inbox), timeout=timeout)

    async def down(self, what: str = "down") -> None:
        """Say that the actor died, and wait until the speaker has heard it."""
        heard = anyio.Event()
        self.speaker.on_notice(lambda _notice: heard.set())
        self.daemon.notify(NoticeBody(self.actor.name, what, "killed"))
        with anyio.fail_after(WITHIN):
            await heard.wait()


@asynccontextmanager
async def _endpoint(bus: Bus, fleet: str, cell: str) -> AsyncGenerator[Endpoint]:
    async with Endpoint(bus, fleet=fleet, cell=cell, clock=SystemClock()) as endpoint:
        await bus.flush()
        yield endpoint


class OpenStage(Protocol):
    """Opens a stage of three connections."""

    def __call__(self, name: str = "worker", of: str = "") -> AbstractAsyncContextManager[Stage]:
        """Call the actor `name`, and the fleet `of`; empty is one of the test's own."""
        ...


@pytest.fixture
def open_stage(open_bus: OpenBus, fleet: str) -> OpenStage:
    """Open stages on one broker."""

    @asynccontextmanager
    async def _open(name: str = "worker", of: str = "") -> AsyncGenerator[Stage]:
        of = of or fleet
        async with AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(open_bus()) for _ in range(3)]
            speaker = await stack.enter_async_context(_endpoint(buses[0], of, "front"))
            daemon = await stack.enter_async_context(_endpoint(buses[1], of, "daemon"))
            stage = Stage(of, speaker, daemon, RawActor(buses[2], of, name))
            await daemon.answer_where(stage.where)
            await buses[1].flush()
            await stage.actor.open()
            yield stage

    return _open


class Outcome:
    """How something that runs beside the test ended."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: CallboardError | None = None
        self._done = anyio.Event()

    async def run(self, what: Awaitable[Any]) -> None:
        """Run it; a typed error is an outcome too."""
        try:
            self.value = await what
        except CallboardError as error:
            self.error = error
        self._done.set()

    @property
    def done(self) -> bool:
        """Whether it ended."""
        return self._done.is_set()

    async def wait(self, *, within: float = WITHIN) -> "Outcome":
        """Wait for the end."""
        with anyio.fail_after(within):
            await self._done.wait()
        return self


# --- asking


async def test_an_ask_ends_with_its_reply(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask(body="how many?"))
        [question] = await stage.actor.wait(Kind.ASK)
        assert body_of(question) == "how many?"
        stage.actor.reply(question, 42)
        assert body_of((await outcome.wait()).value) == 42
        assert stage.actor.of(Kind.CANCEL) == []


async def test_replies_find_their_questions_in_any_order(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcomes = [Outcome() for _ in range(200)]
        for number, outcome in enumerate(outcomes):
            tasks.start_soon(outcome.run, stage.ask(body=number))
        for question in reversed(await stage.actor.wait(Kind.ASK, 200)):
            stage.actor.reply(question, body_of(question) * 2)
        for number, outcome in enumerate(outcomes):
            assert body_of((await outcome.wait()).value) == number * 2


@pytest.mark.parametrize(
    "error",
    [
        MailboxFull("full", depth=7),
        Held("held", actor="worker"),
        MessageRefused("no", path="$.a"),
        NoSuchActor("none"),
        BusUnavailable("odd", yes=True, no=None, share=0.5, count=3),
    ],
)
async def test_a_typed_error_is_rebuilt_as_the_same_class(open_stage: OpenStage, error: CallboardError) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        stage.actor.fail(question, error)
        heard = (await outcome.wait()).error
        assert heard is not None
        assert (type(heard), heard.text, heard.detail) == (type(error), error.text, error.detail)


async def test_an_error_of_another_version_is_told_with_its_text(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        body = {"code": "from-the-future", "text": "what is this", "detail": {"self": 1, "text": "x"}}
        stage.actor.publish(question.reply, said(Kind.ERROR, body, causation=question.id))
        heard = (await outcome.wait()).error
        assert isinstance(heard, UnknownError)
        assert heard.text == "from-the-future: what is this"
        assert heard.detail == {"self": 1, "text": "x"}


@pytest.mark.parametrize("text", ["a file called caf\udce9", "x" * 100_000])
async def test_an_error_with_an_awkward_text_still_reaches_the_asker(open_stage: OpenStage, text: str) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        stage.actor.fail(question, ActorDied(text, path=text[:100], big=2**70))
        heard = (await outcome.wait()).error
        assert isinstance(heard, ActorDied)
        assert heard.text[:10] == text[:10]


async def test_an_error_reply_that_cannot_be_read_fails_the_ask_at_once(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        stage.actor.publish(question.reply, said(Kind.ERROR, ["not", "an", "error"], causation=question.id))
        assert isinstance((await outcome.wait(within=SOON)).error, MessageRefused)


async def test_a_deadline_passes_and_the_actor_is_told_that_nobody_waits(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="worker") as error:
            await stage.ask(timeout=0.1)
        assert 0.09 <= time.monotonic() - began < SOON
        assert error.value.detail["timeout"] == 0.1
        [cancel] = await stage.actor.wait(Kind.CANCEL)
        [question] = stage.actor.of(Kind.ASK)
        assert cancel.causation == question.id


async def test_a_cancelled_ask_is_followed_by_a_cancel(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.ask)
            await stage.actor.wait(Kind.ASK)
            tasks.cancel_scope.cancel()
        [question, cancel] = stage.actor.of(Kind.ASK) + await stage.actor.wait(Kind.CANCEL)
        assert cancel.causation == question.id


async def test_a_reply_after_the_deadline_harms_nobody(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        with pytest.raises(DeadlineExceeded):
            await stage.ask(timeout=0.05)
        [late] = await stage.actor.wait(Kind.ASK)
        stage.actor.reply(late, "late")
        stage.actor.fail(late, Held("later"))
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        question = (await stage.actor.wait(Kind.ASK, 2))[1]
        stage.actor.reply(question, "in time")
        assert body_of((await outcome.wait()).value) == "in time"


async def test_a_second_reply_is_ignored(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        data = join([encode(said(Kind.REPLY, body, causation=question.id)) for body in ("first", "second")])
        stage.actor.bus.publish(question.reply, data)
        assert body_of((await outcome.wait()).value) == "first"
        assert stage.speaker.bus.statistics().refused == 0


async def test_a_reply_to_a_question_that_was_never_asked_is_ignored(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        stage.actor.publish(question.reply, said(Kind.REPLY, "forged", causation=new_id()))
        stage.actor.reply(question, "real")
        assert body_of((await outcome.wait()).value) == "real"


async def test_a_closed_endpoint_fails_what_still_waits(open_bus: OpenBus, fleet: str) -> None:
    outcome = Outcome()
    async with open_bus() as bus, open_bus() as other, anyio.create_task_group() as tasks:
        actor = RawActor(other, fleet, "worker")
        await actor.open()
        async with _endpoint(bus, fleet, "front") as endpoint:
            question = said(Kind.ASK, reply=endpoint.inbox)

            async def ask() -> Envelope:
                return await endpoint.ask("worker", question, timeout=WITHIN)

            tasks.start_soon(outcome.run, ask())
            await actor.wait(Kind.ASK)
        assert isinstance((await outcome.wait(within=SOON)).error, BusUnavailable)


async def test_an_endpoint_on_a_closed_bus_does_not_begin(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus:
        pass
    with pytest.raises(BusClosed):
        async with Endpoint(bus, fleet=fleet, cell="front", clock=SystemClock()):
            pytest.fail("it cannot hear")
    with anyio.move_on_after(0) as scope:  # no scope was left open behind it
        await anyio.sleep(1)
    assert scope.cancelled_caught


@pytest.mark.parametrize("name", ["*", ">", "", "a.b", "a b", "Worker", "worker\n", "a" * 64])
async def test_an_actor_that_cannot_be_named_is_refused_before_anything_is_sent(
    open_stage: OpenStage, name: str
) -> None:
    async with open_stage() as stage:
        sent = stage.speaker.bus.statistics().sent
        with pytest.raises(InvalidName):
            await stage.ask(name)
        with pytest.raises(InvalidName):
            await stage.tell(name=name)
        assert stage.speaker.bus.statistics().sent == sent


@pytest.mark.parametrize("verb", ["ask", "tell"])
async def test_what_would_not_pass_the_server_is_refused_to_the_sender_alone(open_stage: OpenStage, verb: str) -> None:
    async with open_stage() as stage:
        huge = bytes(stage.speaker.bus.max_payload)
        with pytest.raises(MessageTooLarge):
            await (stage.ask(body=huge) if verb == "ask" else stage.tell(huge))
        await stage.tell("small")
        [told] = await stage.actor.wait(Kind.TELL)
        assert body_of(told) == "small"
        assert stage.speaker._pending == {}


# --- nobody home


@pytest.mark.parametrize("verb", ["ask", "tell"])
async def test_an_unknown_actor_is_known_to_be_unknown_at_once(open_stage: OpenStage, verb: str) -> None:
    async with open_stage() as stage:
        began = time.monotonic()
        with pytest.raises(NoSuchActor, match="nobody"):
            await (stage.ask("nobody") if verb == "ask" else stage.tell(name="nobody"))
        assert time.monotonic() - began < SOON
        assert set(stage.asked) == {"nobody"}


async def test_without_a_daemon_an_unknown_actor_is_unknown_at_once(open_bus: OpenBus, fleet: str) -> None:
    async with open_bus() as bus, _endpoint(bus, fleet, "front") as endpoint:
        began = time.monotonic()
        with pytest.raises(NoSuchActor):
            await endpoint.ask("nobody", said(Kind.ASK, reply=endpoint.inbox), timeout=WITHIN)
        assert time.monotonic() - began < SOON


async def test_a_held_actor_is_known_to_be_held_at_once(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        stage.whereabouts["worker"] = "held"
        await stage.actor.leave()
        began = time.monotonic()
        with pytest.raises(Held, match="callboard revive worker"):
            await stage.ask()
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize(("fleet_name", "name"), [("", "worker"), ("", "sys"), ("sys", "worker"), ("sys", "sys")])
async def test_a_question_to_an_actor_that_restarts_reaches_the_next_one(
    open_stage: OpenStage, fleet_name: str, name: str
) -> None:
    """Also where a name looks like a word of the subject grammar."""
    async with open_stage(name, fleet_name) as stage, anyio.create_task_group() as tasks:
        stage.whereabouts[name] = "restarting"
        await stage.actor.leave()
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask(name))
        with anyio.fail_after(WITHIN):
            while not stage.asked:
                await anyio.lowlevel.checkpoint()
        await stage.actor.open()
        [question] = await stage.actor.wait(Kind.ASK)
        stage.actor.reply(question, "here I am")
        assert body_of((await outcome.wait()).value) == "here I am"


async def test_unknown_messages_give_no_credit_that_was_not_taken(open_stage: OpenStage) -> None:
    """An ask takes no credit, so one that reaches nobody returns none."""
    async with open_stage() as stage:
        for number in range(5):
            await stage.tell(number)
        await stage.actor.wait(Kind.TELL, 5)
        await stage.actor.leave()
        with pytest.raises(NoSuchActor):
            await stage.ask()
        assert stage.speaker._accounts["worker"].messages == 5


async def test_a_tell_that_reaches_nobody_gives_its_credit_back_and_is_counted(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        await stage.tell("first")
        await stage.actor.wait(Kind.TELL)
        await stage.actor.leave()
        await stage.tell("lost")
        with pytest.raises(NoSuchActor):
            await stage.ask()
        assert stage.speaker.lost == 1
        assert stage.speaker._accounts["worker"].messages == 1


@pytest.mark.parametrize("reply", ["cb.x", "cb.shop.to.worker.daemon", "a b", "x\r\nPUB a 0\r\n\r\n", "*", "$JS.API"])
async def test_a_daemon_asked_from_a_strange_address_goes_on_and_says_nothing_there(
    open_stage: OpenStage, open_bus: OpenBus, reply: str
) -> None:
    ear = Ear()
    async with open_stage() as stage, open_bus() as other:
        if " " not in reply and "*" not in reply:
            await other.subscribe(reply, ear.hear)
            await other.flush()
        question = encode(said(Kind.WHERE, "worker", reply=reply))
        other.publish(subjects.system(stage.fleet, "where", sender="evil"), question)
        await other.flush()
        with pytest.raises(NoSuchActor):
            await stage.ask("nobody")
        assert stage.asked[-1] == "nobody"
        await stage.daemon.bus.flush()
        await other.flush()
        assert ear.heard == []
        assert stage.daemon.bus.statistics().reconnects == 0


# --- telling


async def test_tells_keep_their_order_and_travel_in_frames_of_at_most_64(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        await stage.tell(-1)
        await stage.actor.wait(Kind.TELL)
        for number in range(1000):
            await stage.tell(number)
        told = await stage.actor.wait(Kind.TELL, 1001)
        assert [body_of(each) for each in told] == list(range(-1, 1000))
        assert max(stage.actor.frames) == FRAME_MOST == 64
        assert len(stage.actor.frames) <= 1 + 1000 // 64 + 2


async def test_tells_and_asks_to_one_actor_keep_their_order(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        await stage.tell("first")
        for number in range(50):
            await stage.tell(number)
            tasks.start_soon(Outcome().run, stage.ask(body=number))
            await anyio.lowlevel.checkpoint()
        await stage.actor.wait(Kind.ASK, 50)
        bodies = [body_of(each) for each in stage.actor.heard[1:]]
        assert bodies == [number for number in range(50) for _ in range(2)]
        tasks.cancel_scope.cancel()


async def test_large_tells_keep_their_order_and_no_frame_passes_the_limit(open_stage: OpenStage) -> None:
    sizes: list[int] = []
    async with open_stage() as stage:
        subject = subjects.mailbox(stage.fleet, "worker")
        await stage.actor.bus.subscribe(subject, lambda _, data, __: sizes.append(len(data)))
        await stage.actor.bus.flush()
        for number in range(40):
            await stage.tell([number, bytes(30_000 if number % 2 else 200_000)])
            await stage.actor.wait(Kind.TELL, number + 1)
            stage.actor.give_credit(stage.actor.of(Kind.TELL)[-1])
        assert [body_of(each)[0] for each in stage.actor.of(Kind.TELL)] == list(range(40))
        assert max(sizes) <= stage.speaker.bus.max_payload


async def test_a_lone_tell_travels_alone(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        await stage.tell(1)
        await stage.actor.wait(Kind.TELL)
        assert stage.actor.frames == [1]


async def test_without_credit_a_tell_waits_then_says_how_full_the_mailbox_is(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        for number in range(MESSAGES):
            await stage.tell(number)
        began = time.monotonic()
        with pytest.raises(MailboxFull, match="1024") as error:
            await stage.tell("too much", timeout=0.1)
        assert 0.09 <= time.monotonic() - began < SOON
        assert error.value.depth == MESSAGES == 1024
        assert len(await stage.actor.wait(Kind.TELL, MESSAGES)) == MESSAGES


async def test_credit_that_comes_back_lets_the_waiting_tell_go_on(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        for number in range(MESSAGES):
            await stage.tell(number)
        told = await stage.actor.wait(Kind.TELL, MESSAGES)
        outcomes = [Outcome() for _ in range(3)]
        for number, outcome in enumerate(outcomes):
            tasks.start_soon(outcome.run, stage.tell(MESSAGES + number))
        await anyio.wait_all_tasks_blocked()
        assert not any(outcome.done for outcome in outcomes)
        stage.actor.give_credit(*told[:2])
        for outcome in outcomes[:2]:
            assert (await outcome.wait()).error is None
        told = await stage.actor.wait(Kind.TELL, MESSAGES + 2)
        assert [body_of(each) for each in told[-2:]] == [MESSAGES, MESSAGES + 1]
        assert not outcomes[2].done
        stage.actor.give_credit(*told[2:3])
        assert (await outcomes[2].wait()).error is None


async def test_credit_is_bounded_in_bytes_too(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        for _ in range(8):
            await stage.tell(bytes(512_000))
        with pytest.raises(MailboxFull) as error:
            await stage.tell(bytes(512_000), timeout=0.05)
        assert error.value.depth == 8


async def test_the_receiving_endpoint_returns_credit_by_itself(open_bus: OpenBus, fleet: str) -> None:
    """A cell that takes messages from its mailbox and says so keeps its senders going without a pause."""
    async with open_bus() as one, open_bus() as other, _endpoint(other, fleet, "back") as receiver:
        actor = RawActor(other, fleet, "worker")
        await actor.open()
        async with _endpoint(one, fleet, "front") as sender:

            async def take() -> None:
                taken = 0
                while taken < 5000:
                    for told in (await actor.wait(Kind.TELL, taken + 1))[taken:]:
                        receiver.give_credit(told.reply, "worker", len(memoryview(told.body)))
                        taken += 1

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                for number in range(5000):
                    await sender.tell("worker", said(Kind.TELL, number, reply=sender.inbox), timeout=WITHIN)
            assert [body_of(told) for told in actor.of(Kind.TELL)] == list(range(5000))
            with anyio.fail_after(WITHIN):  # the last credit comes with a timer
                while sender._accounts["worker"].messages:
                    await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("body", [["worker", -5, -5], ["worker", "many", 0], ["worker"], "worker", None])
async def test_credit_that_makes_no_sense_changes_nothing(open_stage: OpenStage, body: object) -> None:
    async with open_stage() as stage:
        await stage.tell(1)
        [told] = await stage.actor.wait(Kind.TELL)
        stage.actor.publish(told.reply, said(Kind.CREDIT, body))
        stage.actor.publish(told.reply, said(Kind.CREDIT, CreditBody("stranger", 9, 9)))
        await stage.actor.bus.flush()
        await stage.speaker.bus.flush()
        assert stage.speaker._accounts["worker"].messages == 1


async def test_other_tasks_run_while_one_tells_without_a_pause(open_stage: OpenStage) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with open_stage() as stage, anyio.create_task_group() as tasks:
        await stage.tell(0)
        tasks.start_soon(count)
        before = turns
        for number in range(1024):
            await stage.tell(number)
        assert turns - before >= 3
        tasks.cancel_scope.cancel()


# --- deaths


@pytest.mark.parametrize("what", ["down", "gap"])
async def test_when_an_actor_dies_its_questions_fail_and_those_held_elsewhere_go_on(
    open_stage: OpenStage, what: str
) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        lost, kept, other = Outcome(), Outcome(), Outcome()
        tasks.start_soon(lost.run, stage.ask(body="lost"))
        await stage.actor.wait(Kind.ASK, 1)
        tasks.start_soon(kept.run, stage.ask(body="kept"))
        keep = (await stage.actor.wait(Kind.ASK, 2))[1]
        bystander = RawActor(stage.actor.bus, stage.fleet, "bystander")
        await bystander.open()
        tasks.start_soon(other.run, stage.ask("bystander"))
        [elsewhere] = await bystander.wait(Kind.ASK)
        stage.actor.holding = lambda asked: [each for each in asked if each == keep.id]
        await stage.down(what)
        error = (await lost.wait(within=SOON)).error
        assert isinstance(error, ActorDied)
        assert error.detail["actor"] == "worker"
        assert "killed" in error.text
        assert not kept.done
        assert not other.done
        stage.actor.reply(keep, "still here")
        bystander.reply(elsewhere, "not concerned")
        assert body_of((await kept.wait()).value) == "still here"
        assert body_of((await other.wait()).value) == "not concerned"


@pytest.mark.parametrize("what", ["up", "held", "crashed", "ended", "something new"])
async def test_other_notices_fail_no_question(open_stage: OpenStage, what: str) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        [question] = await stage.actor.wait(Kind.ASK)
        await stage.down(what)
        await stage.speaker.flush()
        assert not outcome.done
        stage.actor.reply(question, "as if nothing had happened")
        assert (await outcome.wait()).error is None


async def test_when_nobody_answers_for_a_dead_actor_its_questions_fail_as_died(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        await stage.actor.wait(Kind.ASK)
        await stage.actor.leave()
        await stage.down()
        assert isinstance((await outcome.wait(within=SOON)).error, ActorDied)


async def test_each_failed_question_has_an_error_of_its_own(open_stage: OpenStage) -> None:
    """One error raised in two tasks would grow a traceback of both."""
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcomes = Outcome(), Outcome()
        for outcome in outcomes:
            tasks.start_soon(outcome.run, stage.ask())
        await stage.actor.wait(Kind.ASK, 2)
        await stage.down()
        one, other = [(await outcome.wait()).error for outcome in outcomes]
        assert isinstance(one, ActorDied)
        assert isinstance(other, ActorDied)
        assert one is not other


async def test_what_a_dead_actor_held_of_our_credit_is_ours_again(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        for number in range(MESSAGES):
            await stage.tell(number)
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.tell("next"))
        await anyio.wait_all_tasks_blocked()
        assert not outcome.done
        await stage.down()
        assert (await outcome.wait()).error is None
        assert len(await stage.actor.wait(Kind.TELL, MESSAGES + 1)) == MESSAGES + 1


async def test_every_endpoint_hears_a_notice_and_so_does_its_listener(open_stage: OpenStage) -> None:
    heard: list[tuple[str, NoticeBody]] = []
    notice = NoticeBody("worker", "up", epoch=3)
    async with open_stage() as stage:
        stage.speaker.on_notice(lambda each: heard.append(("speaker", each)))
        stage.daemon.on_notice(lambda each: heard.append(("daemon", each)))
        stage.daemon.notify(notice)
        with anyio.fail_after(WITHIN):
            while len(heard) < 2:
                await anyio.lowlevel.checkpoint()
        assert sorted(heard, key=lambda each: each[0]) == [("daemon", notice), ("speaker", notice)]


# --- bad bytes


BAD = [
    encode([VERSION, "tell"]),
    encode(["1", 1, "", 0, "", ""]),
    encode([VERSION + 1, 1, "", 0, new_id(), "x"]),
    encode([VERSION, 1, "", 0, None, "x"]),
    encode([]),
]


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_envelope_in_a_frame_is_refused_alone(open_stage: OpenStage, bad: bytes) -> None:
    async with open_stage() as stage:
        good = [encode(said(Kind.TELL, number)) for number in range(4)]
        stage.speaker.bus.publish(stage.speaker.address("worker"), join([*good[:2], bad, *good[2:]]))
        told = await stage.actor.wait(Kind.TELL, 4)
        assert [body_of(each) for each in told] == [0, 1, 2, 3]
        assert len(stage.actor.refused) == 1
        assert stage.actor.refused[0].detail["path"]


@pytest.mark.parametrize(
    "bad",
    [
        *BAD,
        encode(said(Kind.CREDIT, "nonsense")),
        encode(said(Kind.ERROR, "nonsense", causation="unknown")),
        encode(said(Kind.NOTICE, "nonsense")),
        encode(msgspec.structs.replace(said(Kind.TELL), kind=99)),
    ],
)
async def test_a_bad_envelope_among_replies_costs_no_other_reply(open_stage: OpenStage, bad: bytes) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        outcomes = Outcome(), Outcome()
        for outcome in outcomes:
            tasks.start_soon(outcome.run, stage.ask())
        first, second = await stage.actor.wait(Kind.ASK, 2)
        replies = [encode(said(Kind.REPLY, "yes", causation=asked.id)) for asked in (first, second)]
        stage.actor.bus.publish(first.reply, join([replies[0], bad, replies[1]]))
        for outcome in outcomes:
            assert body_of((await outcome.wait(within=SOON)).value) == "yes"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xc1", b"{}", b"\x91" * 50_000, encode(said(Kind.NOTICE, 7))])
async def test_bytes_that_are_no_notice_do_not_keep_the_next_one_away(open_stage: OpenStage, data: bytes) -> None:
    async with open_stage() as stage:
        stage.daemon.bus.publish(subjects.system(stage.fleet, "notice", sender="daemon"), data)
        await stage.down("up")
