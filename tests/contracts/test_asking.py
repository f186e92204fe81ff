"""An ask ends with its reply, a typed error or its deadline, on each transport."""

# Some promises are about what is kept, which has no public name:
# pyright: reportPrivateUsage=false

import time

import anyio
import pytest

from callboard.bus import (
    ActorDied,
    Answer,
    BusClosed,
    BusUnavailable,
    DeadlineExceeded,
    Endpoint,
    Held,
    Kind,
    MailboxFull,
    MessageRefused,
    MessageTooLarge,
    NoSuchActor,
    encode,
    join,
)
from callboard.clock import SystemClock
from callboard.errors import CallboardError, InvalidName, UnknownError
from callboard.ids import new_id

from .conftest import OpenBus, OpenStage
from .ear import WITHIN
from .raw_actor import RawActor, body_of, said
from .stage import SOON, Outcome, speaking

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
        async with speaking(bus, fleet, "front") as endpoint:
            question = said(Kind.ASK, reply=endpoint.inbox)

            async def ask() -> Answer:
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
        assert not stage.speaker._questions.actors()
