"""A handler that comes no further is stopped, with the evidence of where it stood; one that waits or works is not."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.lowlevel
import pytest

from callboard import Actor, ActorSpec, BadActor, Context, DeadlineExceeded, Grant, Message, Stalled, receive
from callboard.actors import Health
from callboard.actors.evidence import stack_of
from callboard.actors.host import Host
from callboard.actors.work import STOP_WITHIN
from callboard.clock import SystemClock
from callboard.testing import ManualClock, Probe, Stage

HEALTH = Health(silent_after=3.0, stalled_after=60.0)


class Go(Message):
    how: str


class Done(Message):
    made: int


async def _upstream(never: anyio.Event) -> None:
    await never.wait()


class Worker(Actor):
    """Does what its message says."""

    may = Grant(ask=("slow",))
    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.number = type(self).made

    @receive
    async def go(self, message: Go, ctx: Context) -> Done:
        never: anyio.Event = self.options
        if message.how == "hang":
            await _upstream(never)
        elif message.how == "hang after progress":
            ctx.progress("page 3")
            await _upstream(never)
        elif message.how == "wait":
            with ctx.waiting("a model", up_to=300.0):
                await _upstream(never)
        elif message.how == "ask":
            await ctx.ask("slow", Go(how=""), timeout=200.0)
        elif message.how == "deaf":
            with anyio.CancelScope(shield=True):
                await _upstream(never)
        return Done(made=self.number)


@asynccontextmanager
async def stage_of(clock: ManualClock, *, concurrency: int = 1) -> AsyncGenerator[tuple[Stage, Host, anyio.Event]]:
    never = anyio.Event()
    Worker.concurrency, Worker.made = concurrency, 0
    spec = ActorSpec(actor=Worker, name="worker", cell="main", options=never, health=HEALTH, may=Worker.may)
    async with Stage([spec, Probe("slow", Go)], clock=clock) as stage:
        yield stage, stage.host("worker"), never
        never.set()


async def has_in_hand(stage: Stage, how: str, *, count: int = 1) -> None:
    await stage.tell("worker", Go(how=how))
    await stage.wait_until(lambda: len(stage.row("worker").in_hand) == count)


async def test_a_handler_without_progress_is_stopped_and_the_next_message_is_served() -> None:
    clock = ManualClock()
    async with stage_of(clock) as (stage, host, _):
        await has_in_hand(stage, "hang after progress")
        await clock.advance(59.0)
        assert not host.work.end_stalled()
        assert stage.row("worker").in_hand
        await clock.advance(2.0)
        assert stage.row("worker").state == "stalled"
        host.work.end_stalled()
        event = await stage.wait_event("handler-stalled", "worker")
        assert "Go no progress for 61.0 s since 'page 3', and no declared wait" in event.text
        stack = str(event.detail["stack"])
        assert "in Worker.go" in stack
        assert "in _upstream" in stack
        assert event.text.endswith("in _upstream")
        assert await stage.ask(Worker.go, Go(how="")) == Done(made=2)  # the object was made anew
        assert stage.row("worker").failed == 1


async def test_who_asked_a_stalled_handler_gets_a_typed_error() -> None:
    clock = ManualClock()
    async with stage_of(clock) as (stage, host, _), anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(Stalled, match="worker was stopped: no progress for 61"):
                await stage.ask(Worker.go, Go(how="hang"), timeout=600.0)

        tasks.start_soon(ask)
        await stage.wait_until(lambda: len(stage.row("worker").in_hand) == 1)
        await clock.advance(61.0)
        host.work.end_stalled()


async def test_of_several_in_hand_only_the_stalled_one_is_stopped() -> None:
    clock = ManualClock()
    async with stage_of(clock, concurrency=2) as (stage, host, _):
        await has_in_hand(stage, "hang")
        await clock.advance(30.0)
        await has_in_hand(stage, "wait", count=2)
        await clock.advance(31.0)
        host.work.end_stalled()
        await stage.wait_until(lambda: stage.row("worker").failed == 1)
        assert stage.row("worker").in_hand == ["Go"]
        assert stage.row("worker").doing == "waiting on a model"


@pytest.mark.parametrize(("how", "allowed", "doing"), [("wait", 300.0, "a model"), ("ask", 200.0, "slow")])
async def test_a_declared_wait_is_left_alone_until_its_own_time_is_over(how: str, allowed: float, doing: str) -> None:
    clock = ManualClock()
    async with stage_of(clock) as (stage, host, _):
        stage.host("slow").mailbox.pause()
        await has_in_hand(stage, how)
        await clock.advance(allowed - 1.0)
        assert not host.work.end_stalled()
        assert stage.row("worker").state == "waiting"
        assert stage.row("worker").doing == f"waiting on {doing}"
        assert not stage.events_of("handler-stalled")
        await clock.advance(2.0)
        host.work.end_stalled()
        event = await stage.wait_event("handler-stalled", "worker")
        assert f"waits on {doing} for 1.0 s longer than it said" in event.text


async def test_a_handler_that_ignores_its_cancellation_is_named_as_wedged() -> None:
    clock = ManualClock()
    async with stage_of(clock) as (stage, host, never):
        await has_in_hand(stage, "deaf")
        await clock.advance(61.0)
        assert not host.work.end_stalled()
        await clock.advance(STOP_WITHIN)
        assert not host.work.end_stalled()
        await clock.advance(0.1)
        [wedged] = host.work.end_stalled()
        assert wedged.letter.envelope.type == "Go"
        never.set()
        await stage.wait_until(lambda: not stage.row("worker").in_hand)


@pytest.mark.parametrize("up_to", [0.0, -1.0, 86_401.0])
async def test_a_wait_has_a_sensible_limit(up_to: float) -> None:
    class Odd(Actor):
        @receive
        async def go(self, message: Go, ctx: Context) -> Done:
            with pytest.raises(BadActor, match="more than 0, at most 86400"), ctx.waiting("a model", up_to=up_to):
                pass
            return Done(made=1)

    async with Stage([Odd]) as stage:
        assert await stage.ask(Odd.go, Go(how="")) == Done(made=1)


class JumpingClock(SystemClock):
    """The machine's clock, whose wall time somebody sets."""

    jump = 0.0

    def now(self) -> float:
        return super().now() + self.jump


@pytest.mark.parametrize("jump", [-365 * 86_400.0, -3600.0, 3600.0, 365 * 86_400.0])
async def test_a_jump_of_the_wall_clock_ends_no_handler_no_wait_and_nothing_in_the_mailbox(jump: float) -> None:
    never, clock = anyio.Event(), JumpingClock()
    spec = ActorSpec(actor=Worker, name="worker", cell="main", options=never, health=HEALTH, may=Worker.may)
    answers: list[Done] = []
    async with Stage([spec], clock=clock) as stage, anyio.create_task_group() as tasks:

        async def ask() -> None:
            answers.append(await stage.ask(Worker.go, Go(how="wait"), timeout=30.0))

        tasks.start_soon(ask)
        tasks.start_soon(ask)
        await stage.wait_until(lambda: stage.row("worker").state == "waiting" and stage.row("worker").depth == 1)
        clock.jump = jump
        host = stage.host("worker")
        host.work.end_overdue()
        assert not host.work.end_stalled()
        await anyio.wait_all_tasks_blocked()
        assert stage.row("worker").state == "waiting"
        never.set()
    assert len(answers) == 2
    assert not stage.events


async def test_a_stack_goes_down_to_what_is_awaited_and_ends() -> None:
    never = anyio.Event()
    handler = _upstream(never)
    assert [line.rpartition(" in ")[2] for line in stack_of(handler)] == ["_upstream"]
    handler.close()
    assert stack_of(None) == []


class Swallower(Actor):
    """Ends well although it was told to stop."""

    @receive
    async def go(self, message: Go, ctx: Context) -> Done:
        if message.how == "swallow":
            with anyio.CancelScope(shield=True):
                await self.options.wait()
        else:
            await anyio.lowlevel.checkpoint()
        return Done(made=1)


@pytest.mark.parametrize("what", ["cancelled by its asker", "past its deadline"])
async def test_a_handler_that_goes_on_though_nobody_waits_any_more_is_wedged(what: str) -> None:
    clock, go_on = ManualClock(), anyio.Event()
    spec = ActorSpec(actor=Swallower, name="swallower", cell="main", options=go_on, health=HEALTH)
    async with Stage([spec], clock=clock) as stage, anyio.create_task_group() as tasks:
        host = stage.host("swallower")

        async def ask() -> None:
            with suppress(DeadlineExceeded), anyio.move_on_after(30.0 if what == "past its deadline" else 0.05):
                await stage.ask(Swallower.go, Go(how="swallow"), timeout=30.0)

        tasks.start_soon(ask)
        await stage.wait_until(lambda: len(stage.row("swallower").in_hand) == 1)
        if what == "past its deadline":
            await clock.advance(31.0)
            host.work.end_overdue()
        else:
            await stage.wait_until(lambda: any(hand.gone for hand in host.work.hands().values()))
        assert not host.work.end_stalled()
        await clock.advance(STOP_WITHIN + 0.1)
        [hand] = host.work.end_stalled()
        assert hand.gone
        go_on.set()
        tasks.cancel_scope.cancel()


async def test_a_stalled_tell_that_ends_well_costs_the_next_message_nothing() -> None:
    clock, go_on = ManualClock(), anyio.Event()
    spec = ActorSpec(actor=Swallower, name="swallower", cell="main", options=go_on, health=HEALTH)
    async with Stage([spec], clock=clock) as stage:
        await stage.tell("swallower", Go(how="swallow"))
        await stage.wait_until(lambda: len(stage.row("swallower").in_hand) == 1)
        for _ in range(3):
            await stage.tell("swallower", Go(how=""))
        await clock.advance(61.0)
        stage.host("swallower").work.end_stalled()
        go_on.set()
        assert await stage.ask(Swallower.go, Go(how=""), timeout=5.0) == Done(made=1)
        assert stage.row("swallower").handled == 5
