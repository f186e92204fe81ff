"""A cell keeps its actors alive one by one, holds what fails too often, and answers for all of them."""

from itertools import count
from typing import Any

import anyio
import msgspec
import pytest

from callboard import (
    Actor,
    ActorDied,
    ActorSpec,
    BadActor,
    CallboardError,
    Context,
    Down,
    Grant,
    HandlerFailed,
    Held,
    Message,
    NoSuchActor,
    receive,
)
from callboard.actors import EVERYTHING, Intensity, Poisonous, Restart
from callboard.actors.suspects import FAILURES_MOST
from callboard.errors import InvalidName
from callboard.store import OwnerConflict, OwnerLock
from callboard.testing import ManualClock, Probe, Stage


class Do(Message):
    """What the clerk is to do."""

    what: str = ""
    name: str = ""


class Done(Message):
    text: str


class Clerk(Actor):
    """Crashes, spawns and watches when told to."""

    may = EVERYTHING
    answers_with = (BadActor, InvalidName)

    def __init__(self) -> None:
        self.count = 0

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        self.count += 1
        if message.what == "crash":
            raise SystemExit
        if message.what == "spawn":
            return Done(text=await ctx.spawn(Leaf, name=message.name))
        if message.what == "watch":
            ctx.watch(message.name)
        if message.what == "wait":
            await anyio.sleep_forever()
        return Done(text=str(self.count))


class Leaf(Actor):
    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.what == "crash":
            raise SystemExit
        return Done(text="leaf")


class Watcher(Clerk):
    @receive
    async def down(self, message: Down, ctx: Context) -> None:
        await ctx.tell("probe", message)


class Parent(Actor):
    """Spawns its child whenever it starts."""

    may = Grant(spawn=("leaf",), ask=("leaf",))

    async def started(self, ctx: Context) -> None:
        await ctx.spawn(Leaf)

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.what == "crash":
            raise SystemExit
        return await ctx.ask(Leaf.do, message)


def clerk(actor: type[Actor] = Clerk, **options: Any) -> ActorSpec:
    return ActorSpec(actor=actor, name="clerk", cell="main", may=actor.may, **options)


async def do(stage: Stage, what: str = "", name: str = "", *, actor: str = "clerk") -> str:
    return (await stage.ask(actor, Do(what=what, name=name), reply=Done)).text


NUMBERS = count()


async def crash(stage: Stage, actor: str = "clerk") -> None:
    """Crash an actor, each time by another message: the same one would be quarantined."""
    with pytest.raises(HandlerFailed, match="SystemExit"):
        await do(stage, "crash", f"n-{next(NUMBERS)}", actor=actor)


async def crash_and_wait(stage: Stage) -> None:
    """Crash the clerk, who has crashed before; return when it waits to be started again."""
    await crash(stage)
    await stage.wait_until(lambda: stage.row("clerk").state == "restarting")


def kinds(stage: Stage, actor: str = "clerk") -> list[str]:
    return [event.kind for event in stage.events if event.subject == actor and event.kind != "handler-failed"]


class NeverMade(Actor):
    def __init__(self) -> None:
        raise RuntimeError("no key")

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        raise AssertionError


# --- the budget


async def test_the_first_restart_comes_at_once_and_the_next_after_a_while() -> None:
    clock = ManualClock()
    async with Stage([clerk()], clock=clock) as stage:
        await crash(stage)
        assert await do(stage) == "1"
        await crash_and_wait(stage)
        await clock.advance(0.39)
        assert stage.row("clerk").state == "restarting"
        await clock.advance(0.22)
        assert await do(stage) == "1"
        assert stage.row("clerk").restarts == 2


async def test_what_cannot_be_made_is_held_in_sight_and_others_run_on() -> None:
    clock = ManualClock()
    broken = ActorSpec(actor=NeverMade, name="broken", cell="main")
    async with Stage([broken, clerk()], clock=clock) as stage:
        for crashes, delay in ((2, 0.6), (3, 1.2), (4, 2.4), (5, 4.8)):
            await stage.wait_until(lambda: len(stage.events_of("actor-crashed", "broken")) == crashes)  # noqa: B023
            assert await do(stage)
            await clock.advance(delay)
        event = await stage.wait_event("actor-held", "broken")
        assert event.text == "6 crashes within 30 s: it failed to start: RuntimeError: no key"
        assert kinds(stage, "broken") == ["actor-crashed"] * 6 + ["actor-held"]
        assert stage.row("broken").state == "held"
        with pytest.raises(Held, match="callboard revive broken"):
            await do(stage, actor="broken")
        assert await do(stage)


async def test_crashes_that_are_far_enough_apart_are_forgiven() -> None:
    clock = ManualClock()
    async with Stage([clerk(intensity=Intensity(most=1, within=10.0))], clock=clock) as stage:
        for _ in range(4):
            await crash(stage)
            await clock.advance(10.0)
        assert stage.row("clerk").restarts == 4
        await crash(stage)
        await stage.wait_until(lambda: len(stage.events_of("actor-crashed")) == 5)
        await crash(stage)
        await stage.wait_event("actor-held", "clerk")


async def test_the_crashes_of_all_replicas_count_together() -> None:
    async with Stage([clerk(replicas=3, intensity=Intensity(most=1))], clock=ManualClock()) as stage:
        await crash(stage)
        await crash(stage)
        await stage.wait_event("actor-held", "clerk")
        with pytest.raises(Held):
            await do(stage)


async def test_a_failure_that_is_no_crash_costs_nothing() -> None:
    class Failing(Clerk):
        @receive
        async def do(self, message: Do, ctx: Context) -> Done:
            if message.what == "fail":
                raise ValueError
            return Done(text="ok")

    async with Stage([clerk(Failing, intensity=Intensity(most=0))]) as stage:
        for number in range(12):
            with pytest.raises(HandlerFailed):
                await do(stage, "fail", f"a-{number}")
            assert await do(stage) == "ok"
        assert stage.row("clerk").restarts == 0


async def test_a_message_that_fails_five_times_while_others_go_well_is_refused() -> None:
    class Picky(Clerk):
        @receive
        async def do(self, message: Do, ctx: Context) -> Done:
            if message.what == "fail":
                raise ValueError(message.name)
            return Done(text="ok")

    async with Stage([clerk(Picky)]) as stage:
        for _ in range(FAILURES_MOST):
            assert await do(stage) == "ok"
            with pytest.raises(HandlerFailed):
                await do(stage, "fail", "poison")
        with pytest.raises(Poisonous, match="has crashed or failed clerk again and again and is in quarantine"):
            await do(stage, "fail", "poison")
        event = await stage.wait_event("message-quarantined", "clerk")
        assert "Do failed 5 times and is refused from now on: ValueError: poison" in event.text
        with pytest.raises(HandlerFailed):
            await do(stage, "fail", "another")
        assert await do(stage) == "ok"


async def test_when_all_messages_fail_none_is_refused_for_it() -> None:
    class Down(Clerk):
        @receive
        async def do(self, message: Do, ctx: Context) -> Done:
            raise OSError("the upstream is down")

    async with Stage([clerk(Down, intensity=Intensity(most=1000))]) as stage:
        for _ in range(20):
            with pytest.raises(HandlerFailed):
                await do(stage, "fail")


@pytest.mark.parametrize(("restart", "lives"), [("permanent", True), ("transient", True), ("temporary", False)])
async def test_restart_types(restart: Restart, lives: bool) -> None:
    async with Stage([clerk(restart=restart)]) as stage:
        await crash(stage)
        if lives:
            assert await do(stage) == "1"
        else:
            await stage.wait_event("actor-ended", "clerk")
            with pytest.raises(NoSuchActor):
                await do(stage)


async def test_an_end_for_good_answers_all_that_waits() -> None:
    got: list[type[CallboardError]] = []

    async def ask(stage: Stage) -> None:
        try:
            await do(stage)
        except CallboardError as error:
            got.append(type(error))

    async with Stage([clerk(restart="temporary")]) as stage, anyio.create_task_group() as tasks:
        mailbox = stage.host("clerk").mailbox
        mailbox.pause()
        await stage.tell("clerk", Do(what="crash"))
        for _ in range(3):
            tasks.start_soon(ask, stage)
        await stage.wait_until(lambda: len(mailbox) == 4)
        mailbox.resume()
    assert [error.__name__ for error in got] == ["ActorStopped"] * 3


# --- a person's hand


async def test_a_hold_answers_what_waits_and_what_comes_and_a_revival_ends_it() -> None:
    got: dict[str, type[CallboardError]] = {}

    async def ask(stage: Stage, what: str) -> None:
        try:
            await do(stage, what)
        except CallboardError as error:
            got[what] = type(error)

    async with Stage([clerk()]) as stage, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, stage, "wait")
        await stage.wait_until(lambda: stage.row("clerk").in_hand == ["Do"])
        tasks.start_soon(ask, stage, "queued")
        await stage.wait_until(lambda: stage.row("clerk").depth == 1)
        stage.cell_of("clerk").hold("clerk", why="a person said so")
        await stage.wait_until(lambda: len(got) == 2)
        assert got == {"wait": ActorDied, "queued": Held}
        with pytest.raises(Held, match="clerk is held: a person said so; 'callboard revive clerk'"):
            await do(stage)
        assert stage.events_of("actor-held")[0].text == "a person said so"
        stage.cell_of("clerk").revive("clerk")
        assert await do(stage) == "1"
        assert kinds(stage)[0::2] == ["actor-held", "actor-revived"] or kinds(stage)[-1] == "actor-revived"


async def test_a_revival_comes_with_a_fresh_budget() -> None:
    async with Stage([clerk(intensity=Intensity(most=1))]) as stage:
        for _ in range(2):
            await crash(stage)
            assert await do(stage) == "1"
            await crash(stage)
            await stage.wait_until(lambda: stage.row("clerk").state == "held")
            stage.cell_of("clerk").revive("clerk")
        assert await do(stage) == "1"


async def test_reviving_one_who_is_not_held_changes_nothing() -> None:
    async with Stage([clerk()]) as stage:
        assert await do(stage) == "1"
        stage.cell_of("clerk").revive("clerk")
        assert await do(stage) == "2"
        assert stage.events == []


async def test_a_restart_by_hand_is_no_crash() -> None:
    async with Stage([clerk(intensity=Intensity(most=0))], clock=ManualClock()) as stage:
        for _ in range(8):
            assert await do(stage) == "1"
            stage.cell_of("clerk").restart("clerk")
            await stage.wait_until(lambda: not stage.row("clerk").in_hand)
        await stage.wait_until(lambda: stage.row("clerk").restarts == 8)
        assert set(kinds(stage)) == {"actor-restarted"}


async def test_a_restart_by_hand_cuts_the_wait_before_the_next_start_short() -> None:
    async with Stage([clerk()], clock=ManualClock()) as stage:
        await crash(stage)
        await crash_and_wait(stage)
        stage.cell_of("clerk").restart("clerk")
        assert await do(stage) == "1"


async def test_a_restart_revives_one_who_is_held() -> None:
    async with Stage([clerk()]) as stage:
        stage.cell_of("clerk").hold("clerk", why="a test")
        stage.cell_of("clerk").restart("clerk")
        assert await do(stage) == "1"


class Slow(Actor):
    """Takes its time to clean up after it was cancelled."""

    options: "Together"

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        async with self.options:
            if message.what == "wait":
                await self.options.go.wait()
        return Done(text="slow")


class Together:
    """Counts how many are in at once; the way out can be barred."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.go, self.out = anyio.Event(), anyio.Event()

    async def __aenter__(self) -> None:
        self.now += 1

    async def __aexit__(self, *exc: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.out.wait()
        self.now -= 1


@pytest.mark.parametrize("during", ["clean-up", "backoff"])
async def test_a_hold_and_a_revival_at_once_do_not_double_the_replicas(during: str) -> None:
    together, clock = Together(), ManualClock()

    async def ask(stage: Stage, what: str) -> None:
        try:
            await do(stage, what)
        except CallboardError:
            return

    actor = Slow if during == "clean-up" else Clerk
    async with Stage([clerk(actor, options=together)], clock=clock) as stage, anyio.create_task_group() as tasks:
        if during == "clean-up":
            tasks.start_soon(ask, stage, "wait")
            await stage.wait_until(lambda: together.now == 1)
        else:
            await crash(stage)
            await crash_and_wait(stage)
        stage.cell_of("clerk").hold("clerk", why="a test")
        stage.cell_of("clerk").revive("clerk")
        together.out.set()
        await stage.wait_until(lambda: together.now == 0)
        await clock.advance(10.0)
        assert await do(stage)
        together.out = anyio.Event()
        for _ in range(3):
            tasks.start_soon(ask, stage, "wait")
        await stage.wait_until(lambda: stage.row("clerk").depth == 2)
        assert len(stage.row("clerk").in_hand) == 1
        assert stage.row("clerk").restarts == (0 if during == "clean-up" else 2)
        together.out.set()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["hold", "drain"])
async def test_who_is_held_or_drained_while_it_waits_for_its_next_start_does_not_start(how: str) -> None:
    made: list[Actor] = []

    class Counted(Clerk):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    clock = ManualClock()
    async with Stage([clerk(Counted)], clock=clock) as stage:
        await crash(stage)
        await crash_and_wait(stage)
        assert len(made) == 2
        if how == "hold":
            stage.cell_of("clerk").hold("clerk", why="a test")
            await clock.advance(10.0)
    assert len(made) == 2


@pytest.mark.parametrize("verb", ["restart", "revive"])
async def test_a_hand_on_nobody_says_so(verb: str) -> None:
    async with Stage([clerk()]) as stage:
        with pytest.raises(NoSuchActor, match="'nobody' does not live in cell 'main'"):
            getattr(stage.cells["main"], verb)("nobody")


# --- the family


async def test_a_spawned_child_is_an_actor_like_any_other() -> None:
    async with Stage([clerk()]) as stage:
        assert await do(stage, "spawn", "leaf-1") == "leaf-1"
        assert await do(stage, actor="leaf-1") == "leaf"
        assert [row.actor for row in stage.rows()] == ["clerk", "leaf-1"]


async def test_to_spawn_the_same_again_is_no_change() -> None:
    async with Stage([clerk()]) as stage:
        await do(stage, "spawn", "leaf-1")
        await do(stage, actor="leaf-1")
        await do(stage, "spawn", "leaf-1")
        assert stage.row("leaf-1").handled == 1


async def test_two_who_spawn_the_same_at_once_make_one_child() -> None:
    class Wide(Clerk):
        concurrency = 4

    async with Stage([clerk(Wide)]) as stage:
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(do, stage, "spawn", "leaf-1")
        for _ in range(8):
            await do(stage, actor="leaf-1")
        assert stage.row("leaf-1").handled == 8


@pytest.mark.parametrize("name", ["clerk", "probe", "supervisor", "daemon", "cell-main"])
async def test_a_child_cannot_take_the_name_of_another_or_of_the_runtime(name: str) -> None:
    far = msgspec.structs.replace(Probe("probe", Do).spec, cell="far")
    async with Stage([clerk(), far]) as stage:
        with pytest.raises(BadActor, match=f"clerk cannot spawn '{name}': the name is taken"):
            await do(stage, "spawn", name)


async def test_a_child_is_restarted_without_its_parent() -> None:
    async with Stage([clerk()]) as stage:
        await do(stage, "spawn", "leaf-1")
        await crash(stage, "leaf-1")
        assert await do(stage, actor="leaf-1") == "leaf"
        assert stage.row("clerk").restarts == 0


@pytest.mark.parametrize("how", ["crash", "hold", "restart"])
async def test_children_end_with_their_parent_and_grandchildren_with_them(how: str) -> None:
    class Middle(Parent):
        name = "middle"

    class Top(Actor):
        may = EVERYTHING

        @receive
        async def do(self, message: Do, ctx: Context) -> Done:
            if message.what == "crash":
                raise SystemExit
            await ctx.spawn(Middle)
            return Done(text="")

    async with Stage([clerk(Top)]) as stage:
        await do(stage)
        await stage.wait_until(lambda: len(stage.rows()) == 3)
        if how == "crash":
            await crash(stage)
        elif how == "hold":
            stage.cell_of("clerk").hold("clerk", why="a test")
        else:
            stage.cell_of("clerk").restart("clerk")
        for child in ("leaf", "middle"):
            await stage.wait_event("actor-ended", child)
        assert [row.actor for row in stage.rows()] == ["clerk"]


@pytest.mark.parametrize("how", ["crash", "restart"])
async def test_a_parent_that_starts_again_has_its_children_anew(how: str) -> None:
    async with Stage([clerk(Parent)]) as stage:
        assert await do(stage) == "leaf"
        before = stage.host("leaf")
        if how == "crash":
            await crash(stage)
        else:
            stage.cell_of("clerk").restart("clerk")
        await stage.wait_event("actor-ended", "leaf")
        await stage.wait_until(lambda: stage.row("clerk").state == "running")
        assert await do(stage) == "leaf"
        assert stage.host("leaf") is not before


class Noter(Actor):
    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        return Done(text=str(await ctx.memory.incr("times")))


class Top(Clerk):
    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        return Done(text=await ctx.spawn(Noter, name=message.name))


def is_owned(stage: Stage, actor: str) -> bool:
    try:
        with OwnerLock(stage.folder / "actors" / f"{actor}.db"):
            return False
    except OwnerConflict:
        return True


async def test_the_file_of_an_ended_child_is_closed() -> None:
    async with Stage([clerk(Top)]) as stage:
        await do(stage, name="noter")
        assert await do(stage, actor="noter") == "1"
        assert is_owned(stage, "noter")
        stage.cell_of("clerk").restart("clerk")
        await stage.wait_until(lambda: not is_owned(stage, "noter"))


async def test_a_child_that_is_spawned_again_at_once_waits_for_its_file() -> None:
    async with Stage([clerk(Top)]) as stage:
        for times in range(1, 5):
            await do(stage, name="noter")
            assert await do(stage, actor="noter") == str(times)
            stage.cell_of("clerk").restart("clerk")


@pytest.mark.parametrize("how", ["crash", "hold", "end", "restart"])
async def test_a_watcher_hears_that_another_went_down_and_why(how: str) -> None:
    probe = Probe("probe", Down)
    watcher = ActorSpec(actor=Watcher, name="watcher", cell="far", may=EVERYTHING)
    async with Stage([clerk(restart="temporary" if how == "end" else "permanent"), watcher, probe]) as stage:
        await do(stage, "watch", "clerk", actor="watcher")
        if how in ("crash", "end"):
            await crash(stage)
        elif how == "hold":
            stage.cell_of("clerk").hold("clerk", why="a person said so")
        else:
            stage.cell_of("clerk").restart("clerk")
        down = await probe.expect(Down)
        assert down.actor == "clerk"
        assert down.why == {"hold": "a person said so", "restart": "restarted by hand"}.get(
            how, "a handler raised SystemExit: "
        )


async def test_only_who_handles_down_may_watch() -> None:
    async with Stage([clerk()]) as stage:
        with pytest.raises(BadActor, match="clerk watches 'x' but has no handler for Down"):
            await do(stage, "watch", "x")


# --- without a bus


async def test_a_crash_while_the_bus_is_gone_harms_nobody_else() -> None:
    async with Stage([clerk(), ActorSpec(actor=Leaf, name="leaf", cell="main")]) as stage:
        await stage.wait_until(lambda: all(row.state == "running" for row in stage.rows()))
        mailbox = stage.host("clerk").mailbox
        mailbox.pause()
        await stage.tell("clerk", Do(what="crash"))
        await stage.wait_until(lambda: len(mailbox) == 1)
        stage.disconnect()
        mailbox.resume()
        await stage.wait_event("notice-lost", "clerk")
        stage.reconnect()
        assert await do(stage) == "1"
        assert await do(stage, actor="leaf") == "leaf"
