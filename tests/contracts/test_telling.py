"""Tells keep their order, travel in frames, and wait for credit, on each transport."""

# Some promises are about what is kept, which has no public name:
# pyright: reportPrivateUsage=false

import asyncio
import time

import anyio
import msgspec
import pytest

from callboard.bus import (
    FRAME_MOST,
    VERSION,
    CreditBody,
    Kind,
    MailboxFull,
    encode,
    join,
    subjects,
)
from callboard.bus.credit import MESSAGES
from callboard.ids import new_id

from .conftest import OpenBus, OpenStage
from .ear import WITHIN
from .raw_actor import RawActor, body_of, said
from .stage import SOON, Outcome, speaking

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
        assert sizes or stage.speaker.exchange is not None  # what neighbours say, nobody else hears
        assert max(sizes, default=0) <= stage.speaker.bus.max_payload


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
    async with open_bus() as one, open_bus() as other, speaking(other, fleet, "back") as receiver:
        actor = RawActor(other, fleet, "worker")
        await actor.open()
        async with speaking(one, fleet, "front") as sender:

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
        for number in range(MESSAGES - 1):  # all the credit there is
            await stage.tell(number)
        assert turns - before >= 3
        tasks.cancel_scope.cancel()


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
