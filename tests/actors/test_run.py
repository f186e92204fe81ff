"""Runs: what came together is worked through together, and nobody can tell the difference."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from callboard import (
    Actor,
    ActorSpec,
    CallboardError,
    Context,
    DeadlineExceeded,
    Held,
    Message,
    MessageRefused,
    receive,
)
from callboard.actors import FlightRecorder, Health, Json
from callboard.actors.context import RunContext
from callboard.actors.run import Run
from callboard.bus import Batch, encode, subjects
from callboard.testing import ManualClock, Stage


class Work(Message):
    number: int
    how: str = ""


class Done(Message):
    number: int
    facts: tuple[str, ...] = ()


class Desk(Actor):
    """Writes down what it did, and does what its message says."""

    def __init__(self) -> None:
        self.kept: list[Context] = []

    @receive
    async def work(self, message: Work, ctx: Context) -> Done:
        if message.how == "wait":
            await self.options.wait()
        elif message.how == "fail":
            raise ValueError(str(message.number))
        elif message.how == "crash":
            raise SystemExit(1)
        elif message.how == "keep":
            self.kept.append(ctx)
        DONE.append(message.number)
        if message.how == "facts":
            return Done(number=message.number, facts=tuple(each.message_id for each in self.kept))
        return Done(number=message.number)


DONE: list[int] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


def desk(gate: anyio.Event | None = None) -> ActorSpec:
    return ActorSpec(actor=Desk, name="desk", cell="main", options=gate or anyio.Event())


async def tell_all(stage: Stage, *messages: Message) -> None:
    """Tell in one turn; somebody must have told before, or the first one travels alone."""
    for message in messages:
        await stage.tell("desk", message)


async def a_run(stage: Stage, *messages: Message) -> Run:
    """Have messages wait in the mailbox as one run, behind one that was done before."""
    mailbox = stage.host("desk").mailbox
    await stage.wait_until(lambda: bool(DONE) and not stage.row("desk").in_hand)
    mailbox.pause()
    await tell_all(stage, *messages)
    await stage.wait_until(lambda: len(mailbox) == len(messages))
    [run] = [each for each in mailbox._letters if isinstance(each, Run)]
    return run


async def test_what_is_told_in_one_turn_waits_as_a_run_and_is_done_in_order() -> None:
    async with Stage([desk()]) as stage:
        await stage.ask("desk", Work(number=-1))
        await tell_all(stage, Work(number=-2))
        await stage.wait_until(lambda: len(DONE) == 2)
        run = await a_run(stage, *(Work(number=number) for number in range(10)))
        assert run.batch.count == 10
        stage.host("desk").mailbox.resume()
        await stage.wait_until(lambda: len(DONE) == 12)
        assert [-1, -2, *range(10)] == DONE
        assert (stage.row("desk").handled, stage.row("desk").depth) == (12, 0)


async def test_one_that_does_not_fit_its_type_is_refused_alone() -> None:
    async with Stage([desk()]) as stage:
        await tell_all(stage, Work(number=0))
        numbers: list[Any] = [1, 2, "three", 4, 5]
        await a_run(stage, *(Work(number=number) for number in numbers))
        stage.host("desk").mailbox.resume()
        await stage.wait_until(lambda: len(DONE) == 5)
        assert DONE == [0, 1, 2, 4, 5]
        [event] = stage.events_of("message-refused", "desk")
        assert event.detail["path"] == "$.number"


async def test_one_that_fails_costs_the_others_nothing() -> None:
    async with Stage([desk()]) as stage:
        await tell_all(stage, Work(number=0))
        await a_run(stage, *(Work(number=number, how="fail" if number % 3 == 0 else "") for number in range(1, 8)))
        stage.host("desk").mailbox.resume()
        await stage.wait_until(lambda: len(DONE) == 6)
        assert DONE == [0, 1, 2, 4, 5, 7]
        assert (stage.row("desk").handled, stage.row("desk").failed) == (6, 2)


async def test_after_a_crash_the_next_life_goes_on_with_the_rest() -> None:
    async with Stage([desk()]) as stage:
        await tell_all(stage, Work(number=0))
        await a_run(stage, *(Work(number=number, how="crash" if number == 2 else "") for number in range(1, 6)))
        stage.host("desk").mailbox.resume()
        await stage.wait_until(lambda: len(DONE) == 5)
        assert DONE == [0, 1, 3, 4, 5]
        assert stage.row("desk").restarts == 1


async def test_a_hold_refuses_what_the_actor_had_not_come_to() -> None:
    gate = anyio.Event()
    outcomes: list[str] = []

    async def ask(stage: Stage, number: int) -> None:
        try:
            await stage.ask("desk", Work(number=number, how="wait" if number == 1 else ""))
            outcomes.append("done")
        except Held:
            outcomes.append("held")

    async with Stage([desk(gate)]) as stage, anyio.create_task_group() as tasks:
        await stage.ask("desk", Work(number=0))
        for number in range(1, 5):
            tasks.start_soon(ask, stage, number)
        await stage.wait_until(lambda: stage.row("desk").in_hand == ["Work"] and stage.row("desk").depth == 3)
        stage.host("desk").hold("by hand")
        await stage.wait_until(lambda: len(outcomes) == 3)
        gate.set()
        await stage.wait_until(lambda: len(outcomes) == 4)
    assert (outcomes, DONE) == (["held"] * 3 + ["done"], [0, 1])


async def test_a_question_that_is_taken_back_is_taken_out_of_its_run() -> None:
    gate = anyio.Event()
    async with Stage([desk(gate)]) as stage, anyio.create_task_group() as tasks:
        scopes = [anyio.CancelScope() for _ in range(5)]

        async def ask(number: int) -> None:
            with scopes[number]:
                await stage.ask("desk", Work(number=number, how="wait" if number == 0 else ""))

        for number in range(5):
            tasks.start_soon(ask, number)
        await stage.wait_until(lambda: stage.row("desk").in_hand == ["Work"] and stage.row("desk").depth == 4)
        scopes[2].cancel()
        await stage.wait_until(lambda: stage.row("desk").depth == 3)
        gate.set()
    assert DONE == [0, 1, 3, 4]


async def test_a_question_in_hand_that_is_taken_back_is_stopped_and_its_object_lives_on() -> None:
    gate = anyio.Event()
    async with Stage([desk(gate)]) as stage, anyio.create_task_group() as tasks:
        await stage.ask("desk", Work(number=0, how="keep"))
        scope = anyio.CancelScope()

        async def ask(number: int) -> None:
            with scope if number == 1 else anyio.CancelScope():
                await stage.ask("desk", Work(number=number, how="wait" if number == 1 else ""))

        for number in range(1, 4):
            tasks.start_soon(ask, number)
        await stage.wait_until(lambda: stage.row("desk").in_hand == ["Work"] and stage.row("desk").depth == 2)
        scope.cancel()
        await stage.wait_until(lambda: DONE == [0, 2, 3])
        reply = await stage.ask(Desk.work, Work(number=4, how="facts"))
        assert len(reply.facts) == 1


async def test_what_is_late_when_its_turn_comes_never_reaches_the_handler() -> None:
    clock, gate = ManualClock(), anyio.Event()
    late: list[CallboardError] = []
    async with Stage([desk(gate)], clock=clock) as stage, anyio.create_task_group() as tasks:

        async def ask(number: int) -> None:
            try:
                await stage.ask("desk", Work(number=number, how="wait" if number == 0 else ""), timeout=60.0)
            except CallboardError as error:
                late.append(error)

        for number in range(3):
            tasks.start_soon(ask, number)
        await stage.wait_until(lambda: stage.row("desk").in_hand == ["Work"])
        await clock.advance(61.0)
        gate.set()
    assert not set(DONE) & {1, 2}
    assert {type(error) for error in late} == {DeadlineExceeded}


async def test_a_context_that_is_kept_goes_on_to_speak_of_its_own_message() -> None:
    async with Stage([desk()]) as stage:
        await tell_all(stage, Work(number=0))
        await a_run(stage, *(Work(number=number, how="keep" if number in (2, 4) else "") for number in range(1, 6)))
        stage.host("desk").mailbox.resume()
        reply = await stage.ask(Desk.work, Work(number=6, how="facts"))
        assert len(set(reply.facts)) == 2


async def test_a_sender_has_all_its_credit_back_when_its_batches_are_done() -> None:
    async with Stage([desk()]) as stage:
        for number in range(1000):
            await stage.tell("desk", Work(number=number))
        await stage.ask("desk", Work(number=1000))
        account = stage._endpoint._accounts["desk"]
        await stage.wait_until(lambda: account.messages == 0)
        assert (account.bytes, len(account.names)) == (0, 0)


async def test_several_replicas_share_what_came_together() -> None:
    gate = anyio.Event()
    spec = msgspec.structs.replace(desk(gate), replicas=3)
    async with Stage([spec]) as stage:
        await tell_all(stage, Work(number=0))
        await tell_all(stage, *(Work(number=number, how="wait") for number in range(1, 10)))
        await stage.wait_until(lambda: stage.row("desk").in_hand == ["Work"] * 3 and stage.row("desk").depth == 6)
        gate.set()
        await stage.wait_until(lambda: sorted(DONE) == list(range(10)))


def test_the_messages_of_a_run_count_for_all_its_bytes_together() -> None:
    for count in range(1, 65):
        run = Run(_Batch(count), "x", 1, 997, 0, 0.0, count)  # type: ignore[arg-type]  # only the count is asked for
        assert run.bytes_until(0) == 0
        assert run.bytes_until(count) == 997


class _Batch:
    def __init__(self, count: int) -> None:
        self.count = count


async def test_others_get_their_turn_while_a_run_is_worked_through() -> None:
    class Busy(Actor):
        name = "desk"

        @receive
        async def work(self, message: Work, ctx: Context) -> None:
            assert isinstance(ctx, RunContext) or message.number == 0
            end = time.perf_counter() + 0.002
            while time.perf_counter() < end:
                pass
            turns.append(len(seen))

    seen: list[Any] = []
    turns: list[int] = []

    async def look() -> None:
        while True:
            seen.append(None)
            await anyio.lowlevel.checkpoint()

    async with Stage([Busy]) as stage, anyio.create_task_group() as tasks:
        await tell_all(stage, Work(number=0))
        await stage.wait_until(lambda: len(turns) == 1)
        tasks.start_soon(look)
        await tell_all(stage, *(Work(number=number) for number in range(1, 21)))
        await stage.wait_until(lambda: len(turns) == 21)
        tasks.cancel_scope.cancel()
    assert len(set(turns)) >= 20


async def test_a_message_that_refuses_itself_is_refused_alone() -> None:
    class Picky(Message, tag="Picky"):
        number: int

        def __post_init__(self) -> None:
            if self.number == 2:
                raise RuntimeError("not two")

    class Careless(Message, tag="Picky"):
        number: int

    class Reader(Actor):
        name = "desk"

        @receive
        async def read(self, message: Picky, ctx: Context) -> None:
            DONE.append(message.number)

    async with Stage([Reader]) as stage:
        await tell_all(stage, Careless(number=0))
        await tell_all(stage, *(Careless(number=number) for number in range(1, 4)))
        await stage.wait_until(lambda: len(DONE) == 3)
        assert DONE == [0, 1, 3]
        with pytest.raises(MessageRefused, match="not two"):
            await stage.ask("desk", Careless(number=2))


async def test_a_replica_that_was_left_behind_in_a_run_shares_none_of_it_with_its_successor(tmp_path: Path) -> None:
    recorder, gate = FlightRecorder(tmp_path / "flight", epoch=1), threading.Event()
    facts: dict[int, str] = {}

    class Stuck(Actor):
        name = "desk"

        @receive
        async def work(self, message: Work, ctx: Context) -> Done:
            if message.number == 0:
                await anyio.to_thread.run_sync(gate.wait)  # nothing can cancel it
            facts[message.number] = ctx.message_id
            DONE.append(message.number)
            return Done(number=message.number)

    spec = ActorSpec(actor=Stuck, name="desk", cell="main", health=Health(drain_for=0.05))
    answers: list[int] = []
    async with Stage([spec]) as stage:
        await stage.ask("desk", Work(number=-1))
        host = stage.host("desk")
        host.flight = host.work._flight = recorder

        async def ask(number: int) -> None:
            answers.append((await stage.ask(Stuck.work, Work(number=number), timeout=20.0)).number)

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(ask, number)
            await stage.wait_until(lambda: stage.row("desk").in_hand == ["Work"])
            stage.cells["main"].restart("desk")
            await stage.wait_until(lambda: len(answers) == 5, within=10.0)
            gate.set()
        for _ in range(3):
            recorder.sweep()
    assert DONE == [-1, 1, 2, 3, 4, 5, 0]
    assert [facts[number][-2:] for number in range(6)] == [f"{number:02x}" for number in range(6)]
    assert recorder._left == [0]


async def test_bodies_nested_too_deep_are_refused_and_harm_nobody() -> None:
    async with Stage([desk()]) as stage:
        await stage.ask("desk", Work(number=0))
        bus = stage.buses["stage-caller"]
        for depth in range(900, 1000, 3):
            body = b"\x91" * depth + b"\x90"
            batch = Batch(
                2, 1, "Work", 0, "a" * 30, "", "", "", 0, 0.0, "", 1, f"{bus.inbox}.r", 0, 0, 2,
                msgspec.Raw(b"\x92" + body + body),
            )  # fmt: skip
            with suppress(RecursionError, ValueError):
                bus.publish(subjects.mailbox("stage", "desk", sender="stage-caller"), encode(batch))
        assert await stage.ask(Desk.work, Work(number=1)) == Done(number=1)
        assert {event.kind for event in stage.events} <= {"message-refused"}


async def test_what_cannot_be_written_fails_its_sender_and_nothing_else_of_the_turn() -> None:
    async with Stage([desk()]) as stage:
        await stage.tell("desk", Work(number=0))
        with pytest.raises(UnicodeEncodeError):
            await stage.tell("desk", Json(b"{}", "caf\udce9"))
        await stage.tell("desk", Work(number=1))
        await stage.wait_until(lambda: DONE == [0, 1])
