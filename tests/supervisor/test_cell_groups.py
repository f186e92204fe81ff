"""Actors of one cell that belong together: who goes down with whom, in which order, and what a spent budget costs."""

from typing import Any

import anyio
import pytest

from callboard import Actor, ActorDied, ActorSpec, Context, HandlerFailed, Held, Message, receive
from callboard.actors import EVERYTHING, Health, Intensity
from callboard.supervisor.plan import Strategy
from callboard.testing import CellTable, ManualClock, Stage


class Do(Message):
    """What to do."""

    what: str = ""


class Done(Message):
    lives: int


class Diary(list[str]):
    """What happened, in order, and what each is to do as it starts."""

    def __init__(self) -> None:
        self.gates: dict[str, anyio.Event] = {}
        self.broken: set[str] = set()


class Member(Actor):
    options: Diary
    label = ""
    may = EVERYTHING

    async def started(self, ctx: Context) -> None:
        if self.label in self.options.broken:
            raise RuntimeError("no key")
        if gate := self.options.gates.get(self.label):
            await gate.wait()
        self.options.append(f"start {self.label}")

    async def stopping(self, ctx: Context) -> None:
        self.options.append(f"stop {self.label}")

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.what.startswith("die"):
            self.options.append(f"die {self.label}")
            raise SystemExit(message.what)
        if message.what.startswith("finish"):
            await self.options.gates["finish"].wait()
        if message.what == "spawn":
            await ctx.spawn(Leaf, name="leaf")
        return Done(lives=self.options.count(f"start {self.label}"))


class Leaf(Actor):
    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        return Done(lives=1)


def members(diary: Diary, names: str = "abc", **options: Any) -> list[ActorSpec]:
    return [
        ActorSpec(
            actor=type(f"Member{name.upper()}", (Member,), {"label": name}), name=name, cell="main", options=diary,
            may=EVERYTHING, **options,
        )
        for name in names
    ]  # fmt: skip


def together(strategy: Strategy, **options: Any) -> CellTable:
    return CellTable(name="main", strategy=strategy, **options)


async def do(stage: Stage, actor: str, what: str = "") -> int:
    return (await stage.ask(actor, Do(what=what), reply=Done)).lives


async def die(stage: Stage, actor: str, what: str = "die") -> None:
    with pytest.raises(HandlerFailed, match="SystemExit"):
        await do(stage, actor, what)


async def settle(stage: Stage, names: str = "abc") -> None:
    await stage.wait_until(lambda: all(stage.row(name).state == "running" for name in names))


ANEW: dict[Strategy, list[str]] = {
    "one_for_one": ["die b", "start b"],
    "one_for_all": ["die b", "stop c", "stop a", "start a", "start b", "start c"],
    "rest_for_one": ["die b", "stop c", "start b", "start c"],
}


@pytest.mark.parametrize("strategy", ANEW)
async def test_who_goes_down_with_one_that_crashed_stops_in_reverse_and_starts_in_order(strategy: Strategy) -> None:
    diary = Diary()
    async with Stage(members(diary), cells=[together(strategy)]) as stage:
        await settle(stage)
        assert diary == ["start a", "start b", "start c"]
        diary.clear()
        await die(stage, "b")
        await stage.wait_until(lambda: len(diary) == len(ANEW[strategy]))
        assert diary == ANEW[strategy]
        await settle(stage)
        restarts = {name: int(f"start {name}" in diary) for name in "abc"}
        assert {row.actor: row.restarts for row in stage.rows()} == restarts
        diary.clear()
    assert diary == ["stop c", "stop b", "stop a"]


async def test_with_a_table_each_starts_when_the_one_before_has_started_and_without_all_start_at_once() -> None:
    for cells, first in (([together("one_for_one")], []), ([], ["start b", "start c"])):
        diary = Diary()
        diary.gates["a"] = anyio.Event()
        async with Stage(members(diary), cells=cells) as stage:
            await stage.wait_until(lambda: len(diary) == len(first))  # noqa: B023 - at once
            await anyio.wait_all_tasks_blocked()
            assert diary == first
            diary.gates["a"].set()
            await settle(stage)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_what_waits_at_one_who_goes_down_with_another_is_served_by_its_next_life(strategy: Strategy) -> None:
    diary, got = Diary(), list[int]()
    diary.gates["finish"] = anyio.Event()

    async def ask(stage: Stage, what: str) -> None:
        got.append(await do(stage, "b", what))

    async with Stage(members(diary, "ab"), cells=[together(strategy)]) as stage, anyio.create_task_group() as tasks:
        await settle(stage, "ab")
        tasks.start_soon(ask, stage, "finish")
        await stage.wait_until(lambda: stage.row("b").in_hand == ["Do"])
        tasks.start_soon(ask, stage, "after")
        await stage.wait_until(lambda: stage.row("b").depth == 1)
        await die(stage, "a")
        diary.gates["finish"].set()
        await stage.wait_until(lambda: len(got) == 2)
    assert got == [1, 2], "what was in hand is finished, what waited is served by the next life"


async def test_one_who_does_not_finish_in_its_time_is_cancelled_and_the_group_goes_on() -> None:
    diary = Diary()
    diary.gates["finish"] = anyio.Event()
    specs = members(diary, "ab", health=Health(drain_for=0.05))
    got: list[type[Exception]] = []

    async def ask(stage: Stage) -> None:
        try:
            await do(stage, "b", "finish")
        except ActorDied as error:
            got.append(type(error))

    async with Stage(specs, cells=[together("one_for_all")]) as stage, anyio.create_task_group() as tasks:
        await settle(stage, "ab")
        tasks.start_soon(ask, stage)
        await stage.wait_until(lambda: stage.row("b").in_hand == ["Do"])
        await die(stage, "a")
        await stage.wait_until(lambda: diary.count("start b") == 2)
    assert got == [ActorDied]


async def test_who_was_spawned_ends_with_a_parent_that_goes_down_with_another() -> None:
    diary = Diary()
    async with Stage(members(diary, "ab"), cells=[together("one_for_all")]) as stage:
        await do(stage, "b", "spawn")
        await die(stage, "a")
        assert (await stage.wait_event("actor-ended", "leaf")).text == "its parent b was stopped"


@pytest.mark.parametrize(("strategy", "others"), [("one_for_one", ["start b"]), ("one_for_all", ["start b"] * 3)])
async def test_of_replicas_the_others_serve_on_or_go_down_too_as_the_strategy_says(
    strategy: Strategy, others: list[str]
) -> None:
    diary = Diary()
    specs = members(diary, "b", replicas=3)
    async with Stage(specs, cells=[together(strategy)]) as stage:
        await settle(stage, "b")
        await stage.wait_until(lambda: len(diary) == 3)
        diary.clear()
        await die(stage, "b")
        await stage.wait_until(lambda: diary.count("start b") == len(others))
        assert diary == ["die b", *others]
        assert stage.row("b").restarts == 1
        await do(stage, "b")
        event = await stage.wait_event("actor-recovered", "b")
        assert event.text == "serves again: it has handled a message after a crash"


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_group_that_lacks_one_for_good_is_held_whole_and_revived_in_order(strategy: Strategy) -> None:
    diary = Diary()
    async with Stage(members(diary, intensity=Intensity(most=0)), cells=[together(strategy)]) as stage:
        await settle(stage)
        diary.clear()
        await die(stage, "b")
        event = await stage.wait_event("group-held", "main")
        assert event.text == "b: 1 crashes within 30 s: a handler raised SystemExit: die"
        await stage.wait_until(lambda: len(diary) == 3)
        assert diary == ["die b", "stop c", "stop a"]
        for name in "abc":
            with pytest.raises(Held, match="b: 1 crashes within 30 s"):
                await do(stage, name)
        stage.cell_of("c").revive("c")
        await settle(stage)
        assert diary[3:] == ["start a", "start b", "start c"]
        assert await do(stage, "a") == 1


async def test_the_budget_of_a_cell_counts_the_crashes_of_all_its_actors() -> None:
    diary = Diary()
    table = together("one_for_one", intensity=Intensity(most=2))
    async with Stage(members(diary), cells=[table], clock=ManualClock()) as stage:
        for name in "abc":
            await settle(stage)
            await die(stage, name)
        event = await stage.wait_event("group-held", "main")
        assert "3 crashes in the group within 30 s, the last of c" in event.text


async def test_a_cell_that_escalates_says_so_and_stops_all_first() -> None:
    diary = Diary()
    table = together("one_for_one", escalate=True)
    async with Stage(members(diary, intensity=Intensity(most=0)), cells=[table]) as stage:
        await settle(stage)
        diary.clear()
        await die(stage, "b")
        event = await stage.wait_event("cell-escalated", "main")
        assert event.text == "b: 1 crashes within 30 s: a handler raised SystemExit: die"
        assert diary == ["die b", "stop c", "stop a"]


async def test_one_that_cannot_start_keeps_those_behind_it_from_starting() -> None:
    diary, clock = Diary(), ManualClock()
    diary.broken.add("a")
    async with Stage(members(diary, "ab"), cells=[together("rest_for_one")], clock=clock) as stage:
        await stage.wait_until(lambda: len(stage.events_of("actor-crashed", "a")) == 2)
        assert diary == []
        diary.broken.clear()
        await clock.advance(0.6)
        await settle(stage, "ab")
        assert diary == ["start a", "start b"]
        assert await do(stage, "b") == 1
