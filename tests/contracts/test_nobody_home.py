"""What is told of an actor that is not there, on each transport, and at once."""

# Some promises are about what is kept, which has no public name:
# pyright: reportPrivateUsage=false

import time

import anyio
import pytest

from callboard.bus import (
    ActorDied,
    Endpoint,
    Held,
    Kind,
    NoSuchActor,
    NoticeBody,
    answer_where,
    encode,
    subjects,
)
from callboard.bus.credit import MESSAGES
from callboard.clock import SystemClock

from .conftest import OpenBus, OpenStage
from .ear import WITHIN, Ear
from .raw_actor import RawActor, body_of, said
from .stage import SOON, Outcome, speaking

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
    async with open_bus() as bus, speaking(bus, fleet, "front") as endpoint:
        began = time.monotonic()
        with pytest.raises(NoSuchActor):
            await endpoint.ask("nobody", said(Kind.ASK, reply=endpoint.inbox), timeout=WITHIN)
        assert time.monotonic() - began < SOON


async def test_a_daemon_that_is_cut_off_for_a_moment_makes_nobody_unknown(open_bus: OpenBus, fleet: str) -> None:
    """After a restart of the server some are back before others."""
    outcome = Outcome()
    async with (
        open_bus() as bus, open_bus() as later, anyio.create_task_group() as tasks,
        Endpoint(bus, fleet=fleet, cell="front", clock=SystemClock(), supervised=True) as endpoint,
    ):  # fmt: skip
        tasks.start_soon(outcome.run, endpoint.ask("worker", said(Kind.ASK, reply=endpoint.inbox), timeout=WITHIN))
        await bus.flush()
        async with speaking(later, fleet, "daemon") as daemon:
            actor = RawActor(later, fleet, "worker")
            await actor.open()
            await answer_where(daemon, {"worker": "up"}.__getitem__)
            [question] = await actor.wait(Kind.ASK)
            actor.reply(question, "here I am")
            assert body_of((await outcome.wait()).value) == "here I am"


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


async def test_what_is_told_while_an_actor_has_no_home_arrives_in_order(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        await stage.tell(0)
        await stage.actor.wait(Kind.TELL)
        stage.whereabouts["worker"] = "restarting"
        await stage.actor.leave()
        for number in range(1, 200):
            await stage.tell(number)
            if number % 20 == 0:
                await stage.speaker.flush()  # the server's "nobody" for what was sent so far comes back meanwhile
        await stage.actor.open()
        told = [body_of(each) for each in await stage.actor.wait(Kind.TELL, 200)]
        assert told == list(range(200))


async def test_a_question_without_a_home_does_not_die_with_an_actor_it_never_reached(open_stage: OpenStage) -> None:
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        stage.whereabouts["worker"] = "restarting"
        await stage.actor.leave()
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask())
        with anyio.fail_after(WITHIN):
            while not stage.asked:
                await anyio.lowlevel.checkpoint()
        await stage.down()
        await stage.actor.open()
        [question] = await stage.actor.wait(Kind.ASK)
        stage.actor.reply(question, "here I am")
        assert body_of((await outcome.wait()).value) == "here I am"


async def test_a_question_given_up_while_it_had_no_home_is_not_sent_again(open_stage: OpenStage) -> None:
    async with open_stage() as stage:
        stage.whereabouts["worker"] = "restarting"
        await stage.actor.leave()
        with anyio.move_on_after(0.05):
            await stage.ask()
        await stage.speaker.flush()  # what was under way has come back
        await stage.actor.open()
        await stage.tell("after it")
        assert body_of((await stage.actor.wait(Kind.TELL))[0]) == "after it"
        assert not stage.actor.of(Kind.ASK)


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


@pytest.mark.parametrize("what", ["up", "held", "crashed", "something new"])
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


async def test_tells_under_way_at_a_death_are_named_unless_somebody_holds_them(open_stage: OpenStage) -> None:
    named: list[tuple[str, list[str], str]] = []
    async with open_stage() as stage:
        stage.speaker.on_uncertain(lambda actor, ids, why: named.append((actor, ids, why)))
        for number in range(4):
            await stage.tell(number)
        acknowledged, kept, *lost = await stage.actor.wait(Kind.TELL, 4)
        stage.actor.give_credit(acknowledged)
        await stage.actor.bus.flush()
        await stage.speaker.flush()
        stage.actor.holding = lambda asked: [each for each in asked if each == kept.id]
        await stage.down()
        with anyio.fail_after(WITHIN):
            while not named:
                await anyio.lowlevel.checkpoint()
    [(actor, ids, why)] = named
    assert (actor, ids) == ("worker", [each.id for each in lost])
    assert "killed" in why
    assert stage.speaker.uncertain == 2


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
