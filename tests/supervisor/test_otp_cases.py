"""The subjects of OTP's own supervisor suite, asked of ours.

Grouped as that suite is. What is decided is asked of the pure core, what needs actors of a cell in memory; what needs
processes is tested where those are, and docs/guarantees.md lists all, with what does not apply and why.
"""

from typing import Any

import anyio
import msgspec
import pytest

from callboard import Actor, ActorDied, BadActor, Context, HandlerFailed, Held, Message, NoSuchActor, receive
from callboard.actors import EVERYTHING, RESTARTS, ActorSpec, Health, Intensity, Restart
from callboard.supervisor.plan import Begin, Child, Plan, Restarted, Revived, Started, Strategy
from callboard.supervisor.plan import Held as HeldByHand
from callboard.supervisor.restart import Exit
from callboard.testing import ManualClock, Stage

from .tree_play import NEVER, STRATEGIES, Play, plan

each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
each_group = pytest.mark.parametrize("strategy", STRATEGIES[1:])


class Do(Message):
    what: str = ""
    name: str = ""


class Done(Message):
    text: str = ""


class Worker(Actor):
    may = EVERYTHING
    answers_with = (BadActor,)

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.what == "die":
            raise SystemExit
        if message.what == "spawn":
            await ctx.spawn(Leaf, name=message.name)
        if message.what == "spawn broken":
            await ctx.spawn(Broken, name=message.name)
        if message.what == "hang":
            await anyio.sleep_forever()
        return Done(text="done")


class Leaf(Worker):
    may = EVERYTHING


class Broken(Worker):
    may = EVERYTHING

    async def started(self, ctx: Context) -> None:
        raise RuntimeError("no key")


def worker(name: str = "worker", actor: type[Actor] = Worker, **options: Any) -> ActorSpec:
    return ActorSpec(actor=actor, name=name, cell="main", may=EVERYTHING, **options)


async def do(stage: Stage, actor: str, what: str = "", name: str = "") -> str:
    return (await stage.ask(actor, Do(what=what, name=name), reply=Done)).text


async def die(stage: Stage, actor: str, name: str = "") -> None:
    """Crash an actor by a message; `name` makes it another one than those before, which would be quarantined."""
    with pytest.raises(HandlerFailed, match="SystemExit"):
        await do(stage, actor, "die", name)


# --- sup_start


@each_strategy
def test_a_supervisor_without_children_begins_and_ends(strategy: Strategy) -> None:
    play = Play(plan("", strategy))
    assert play.tell(Begin()) == ""
    assert play.state.settled
    assert play.end() == ""
    assert play.state.over


@each_strategy
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_a_child_that_declines_to_start_is_ended_and_the_next_one_starts(strategy: Strategy, restart: Restart) -> None:
    play = Play(plan("ab", strategy, restart=restart))
    play.tell(Begin())
    assert play.gone("a") == "ended a, start b"
    assert play.started("b") == ""
    assert play.state.settled


@each_strategy
def test_a_start_that_fails_in_the_middle_stops_those_before_and_is_passed_on(strategy: Strategy) -> None:
    play = Play(plan("abcd", strategy, each=NEVER, on_spent="escalate"))
    play.tell(Begin(), Started("a"), Started("b"))
    assert play.crash("c") == "stop b"
    assert play.gone("b") == "stop a"
    assert play.gone("a") == "escalate"
    assert play.why.startswith("c: ")
    assert play.why.endswith(": boom")


def test_a_start_that_fails_first_gives_up_with_its_reason() -> None:
    play = Play(plan("ab", each=NEVER, on_spent="escalate"))
    play.tell(Begin())
    assert play.crash("a") == "escalate"
    assert play.why == "a: 1 crashes within 30 s: boom"


def test_a_plan_that_names_little_has_the_defaults() -> None:
    made = msgspec.convert({"children": [{"name": "a"}]}, Plan)
    assert made == Plan(
        children=(Child(name="a", restart="permanent", intensity=Intensity(most=5, within=30.0)),),
        strategy="one_for_one",
        intensity=None,
        on_spent="hold",
    )


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        ("invalid", "Expected `object`, got `str`"),
        ({"strategy": "none_for_one"}, "none_for_one"),
        ({"on_spent": "panic"}, "panic"),
        ({"intensity": "infinity"}, "Expected `object | null`"),
        ({"intensity": {"most": -1}}, ">= 0"),
        ({"intensity": {"within": 0}}, "> 0.0"),
        ({"silly_flag": True}, "silly_flag"),
        ({"children": ["child"]}, "Expected `object`, got `str`"),
        ({"children": [{}]}, "missing required field `name`"),
        ({"children": [{"name": "a", "restart": "prmanent"}]}, "prmanent"),
        ({"children": [{"name": "a", "silly_flag": True}]}, "silly_flag"),
        ({"children": [{"name": "a"}, {"name": "a"}]}, "named twice: a"),
    ],
)
def test_a_faulty_plan_is_refused_with_what_is_wrong(faulty: object, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(faulty, Plan)
    assert said in str(error.value)


async def test_a_child_whose_start_fails_says_why_and_its_siblings_run() -> None:
    async with Stage([worker("broken", Broken), worker()], clock=ManualClock()) as stage:
        event = await stage.wait_event("actor-crashed", "broken")
        assert event.text == "it failed to start: RuntimeError: no key"
        assert await do(stage, "worker") == "done"


async def test_a_spawned_child_whose_start_fails_is_held_and_its_parent_runs_on() -> None:
    clock = ManualClock()
    async with Stage([worker()], clock=clock) as stage:
        await do(stage, "worker", "spawn broken", "leaf-1")
        for crashes in range(2, 7):
            await stage.wait_until(lambda: len(stage.events_of("actor-crashed", "leaf-1")) >= crashes)  # noqa: B023
            await clock.advance(4.9)
        await stage.wait_event("actor-held", "leaf-1")
        assert await do(stage, "worker") == "done"
        assert stage.row("worker").restarts == 0


# --- sup_stop


@each_strategy
def test_the_order_of_termination_is_the_reverse_however_long_one_takes(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy)).up()
    assert play.end() == "stop c"
    play.now += 1_000_000.0
    assert play.end() == ""
    assert play.gone("c") == "stop b"


@each_strategy
def test_a_child_that_dies_as_its_supervisor_stops_is_not_started_again(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy)).up()
    play.end()
    assert play.crash("a") == ""
    assert play.crash("c") == "stop b"
    assert play.crash("b") == ""
    assert play.state.over


@each_strategy
@pytest.mark.parametrize("how", ["normal", "crashed", "bus-lost"])
def test_however_a_child_ends_when_told_to_is_no_crash(strategy: Strategy, how: Exit) -> None:
    play = Play(plan("ab", strategy, each=NEVER, intensity=NEVER, on_spent="escalate")).up()
    assert play.end() == "stop b"
    assert play.crash("b", how) == "stop a"
    assert play.crash("a", how) == ""
    assert play.state.over


async def test_a_child_that_does_not_stop_in_its_time_is_cancelled_and_the_others_end_in_order() -> None:
    came: list[str] = []

    async def ask(stage: Stage) -> None:
        with pytest.raises(ActorDied):
            await do(stage, "slow", "hang")
        came.append("slow")

    specs = [worker("slow", health=Health(drain_for=0.02)), worker("quick")]
    async with anyio.create_task_group() as tasks, Stage(specs) as stage:
        tasks.start_soon(ask, stage)
        await stage.wait_until(lambda: stage.row("slow").in_hand == ["Do"])
        assert await do(stage, "quick") == "done"
    assert came == ["slow"]
    assert [row.state for row in stage.rows()] == ["stopped", "stopped"]


# --- child_adm


@each_strategy
def test_a_child_that_a_person_stopped_stays_and_can_be_started_again(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy)).up()
    assert play.tell(HeldByHand("a")) == "hold a, stop a"
    assert play.gone("a") == ""
    assert play.phases == "a held, b running"
    assert play.tell(HeldByHand("a")) == ""
    assert play.tell(Revived("a")) == "start a"
    assert play.started("a") == ""
    assert play.tell(Revived("a")) == ""


async def test_a_hand_on_one_who_is_not_there_says_so() -> None:
    async with Stage([worker()]) as stage:
        cell = stage.cell_of("worker")
        for verb in (cell.restart, cell.revive):
            with pytest.raises(NoSuchActor, match="'nobody' does not live in cell 'main'"):
                verb("nobody")
        with pytest.raises(NoSuchActor):
            cell.hold("nobody", why="")


async def test_to_start_a_running_child_again_is_no_change_and_a_taken_name_is_refused() -> None:
    async with Stage([worker(), worker("other")]) as stage:
        await do(stage, "worker", "spawn", "leaf-1")
        await do(stage, "worker", "spawn", "leaf-1")
        assert len(stage.rows()) == 3
        with pytest.raises(BadActor, match="the name is taken"):
            await do(stage, "worker", "spawn", "other")


async def test_a_spawned_child_is_held_revived_and_restarted_by_hand_like_any_other() -> None:
    async with Stage([worker()]) as stage:
        await do(stage, "worker", "spawn", "leaf-1")
        cell = stage.cell_of("leaf-1")
        cell.hold("leaf-1", why="for a look")
        with pytest.raises(Held):
            await do(stage, "leaf-1")
        cell.revive("leaf-1")
        assert await do(stage, "leaf-1") == "done"
        cell.restart("leaf-1")
        assert await do(stage, "leaf-1") == "done"


# --- normal_termination, shutdown_termination, abnormal_termination

TERMINATIONS: dict[tuple[Restart, Exit], bool] = {
    ("permanent", "normal"): True,
    ("permanent", "crashed"): True,
    ("transient", "normal"): False,
    ("transient", "crashed"): True,
    ("temporary", "normal"): False,
    ("temporary", "crashed"): False,
}


@each_strategy
@pytest.mark.parametrize(("restart", "how"), TERMINATIONS)
def test_who_comes_back_after_which_exit(strategy: Strategy, restart: Restart, how: Exit) -> None:
    play = Play(plan("a", strategy, restart=restart)).up()
    assert play.crash("a", how) == ("start a" if TERMINATIONS[restart, how] else "ended a")


@each_strategy
@pytest.mark.parametrize("restart", RESTARTS)
def test_a_child_that_the_plan_shuts_down_does_not_come_back(strategy: Strategy, restart: Restart) -> None:
    play = Play(plan("ab", strategy, restart=restart)).up()
    play.end()
    play.gone("b")
    assert play.gone("a") == ""
    assert play.state.over


@each_group
def test_a_temporary_bystander_is_not_restarted(strategy: Strategy) -> None:
    children = (Child(name="a", intensity=Intensity(most=2)), Child(name="b", restart="temporary"))
    play = Play(Plan(children=children, strategy=strategy, intensity=Intensity(most=2))).up()
    assert play.crash("a") == "stop b"
    assert play.crash("b") == "ended b, start a"
    assert play.started("a") == ""
    assert play.state.settled


async def test_a_temporary_child_that_ended_leaves_nothing_behind() -> None:
    async with Stage([worker("brief", restart="temporary"), worker()]) as stage:
        await die(stage, "brief")
        await stage.wait_event("actor-ended", "brief")
        assert [row.actor for row in stage.rows()] == ["worker"]
        assert "brief" not in stage.cells["main"]._troupe.pools


# --- the strategies


def test_multiple_restarts_within_the_intensity_go_on_for_ever() -> None:
    play = Play(plan("a", each=Intensity(most=1, within=1.0), on_spent="escalate")).up()
    for _ in range(50):
        assert play.crash("a") == "start a"
        play.started("a")
        play.now += 1.0


@each_strategy
@pytest.mark.parametrize(("after", "lives"), [(29.99, False), (30.0, True), (30.01, True)])
def test_a_crash_leaves_the_window_when_it_is_as_old_as_the_window(
    strategy: Strategy, after: float, lives: bool
) -> None:
    play = Play(plan("a", strategy, each=Intensity(most=1, within=30.0), on_spent="escalate")).up()
    play.crash("a")
    play.started("a")
    play.now += after
    assert play.crash("a") == ("start a" if lives else "escalate")


ANEW: dict[Strategy, str] = {"one_for_one": "b", "one_for_all": "abc", "rest_for_one": "bc"}
"""Who has a second life when the middle one of three crashed."""


@each_strategy
def test_who_is_restarted_and_who_is_left_alone(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy)).up()
    play.crash("b")
    play.settle()
    assert "".join(kid.name for kid in play.state.kids if kid.lives == 2) == ANEW[strategy]
    assert play.phases == "a running, b running, c running"


@each_strategy
def test_the_third_restart_of_two_allowed_ends_the_supervisor(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, intensity=Intensity(most=2, within=3600.0))).up()
    for name in "ab":
        play.crash(name)
        play.settle()
    play.crash("a")
    play.gone("b")
    assert play.state.over
    assert play.why.startswith("3 crashes in the group within 3600 s, the last of a")


@each_strategy
def test_a_child_that_cannot_start_again_escalates_and_its_siblings_stop(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, intensity=Intensity(most=4, within=3600.0))).up()
    said = play.crash("a")
    for _ in range(20):
        if play.state.over:
            break
        phases = {kid.name: kid.phase for kid in play.state.kids}
        if phases["b"] == "stopping":
            said = play.gone("b")
        else:
            said = play.crash("a") if phases["a"] == "starting" else play.due("a")
    assert said.endswith("escalate")
    assert play.state.kids[0].lives == 1 + 4


def test_one_for_all_stops_a_restarted_child_when_another_fails_to_start() -> None:
    play = Play(plan("ab", "one_for_all")).up()
    play.crash("a")
    assert play.gone("b") == "start a"
    assert play.started("a") == "start b"
    assert play.crash("b") == "stop a"
    assert play.gone("a") == "start a"
    assert play.started("a") == "start b"
    play.started("b")
    assert play.state.settled


def test_rest_for_one_keeps_a_restarted_child_when_a_later_one_fails_to_start() -> None:
    play = Play(plan("ab", "rest_for_one")).up()
    play.crash("a")
    assert play.gone("b") == "start a"
    assert play.started("a") == "start b"
    assert play.crash("b") == "start b"
    assert play.state.kids[0].lives == 2


def test_a_tree_restarts_what_is_below_and_escalates_what_is_above() -> None:
    """The upper node sees an escalation of a lower one as a crash, and restarts all (one_for_all)."""
    low = Play(plan("cd", intensity=Intensity(most=0))).up()
    top = Play(plan("ab", "one_for_all")).up()
    assert low.crash("d") == "stop c"
    assert low.gone("c") == "escalate"
    assert top.crash("b") == "stop a"
    assert top.gone("a") == "start a"
    assert top.started("a") == "start b"


# --- simple_one_for_one: ours are spawned children


async def test_of_spawned_children_only_the_one_that_died_starts_again() -> None:
    async with Stage([worker()]) as stage:
        for name in ("leaf-1", "leaf-2"):
            await do(stage, "worker", "spawn", name)
        await die(stage, "leaf-1")
        assert await do(stage, "leaf-1") == "done"
        assert [stage.row(name).restarts for name in ("leaf-1", "leaf-2", "worker")] == [1, 0, 0]


async def test_a_spawned_child_that_dies_too_often_is_held_and_nobody_is_taken_along() -> None:
    clock = ManualClock()
    async with Stage([worker()], clock=clock) as stage:
        for name in ("leaf-1", "leaf-2"):
            await do(stage, "worker", "spawn", name)
        for number in range(5):
            await die(stage, "leaf-1", f"a-{number}")
            await clock.advance(4.9)
            assert await do(stage, "leaf-1") == "done"
        await die(stage, "leaf-1", "the last")
        await stage.wait_event("actor-held", "leaf-1")
        assert await do(stage, "leaf-2") == "done"
        assert stage.row("worker").restarts == 0


async def test_spawned_children_stop_with_the_cell() -> None:
    async with Stage([worker()]) as stage:
        for number in range(20):
            await do(stage, "worker", "spawn", f"leaf-{number}")
    assert {row.state for row in stage.rows()} == {"stopped"}
    assert len(stage.rows()) == 21


# --- count_children, which_children


def test_children_are_counted_by_how_it_stands_with_them() -> None:
    play = Play(plan("abcd")).up()
    play.crash("a", "bus-lost")
    play.tell(HeldByHand("b"))
    play.gone("b")
    play.crash("c")
    assert play.phases == "a waiting, b held, c starting, d running"


async def test_rows_count_the_children_as_they_come_and_go() -> None:
    async with Stage([worker()]) as stage:
        for number in range(100):
            await do(stage, "worker", "spawn", f"leaf-{number}")
        assert len(stage.rows()) == 101
        assert stage.rows() == stage.rows()
        await die(stage, "worker")
        await stage.wait_until(lambda: len(stage.rows()) == 1)


# --- hanging_restart_loop


@each_strategy
def test_a_child_that_hangs_in_a_restart_loop_can_be_held_and_revived(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy)).up()
    play.crash("b")
    play.settle()
    play.crash("b")
    play.tell(Restarted("b"))
    play.settle()
    play.crash("b")
    assert play.tell(HeldByHand("b")) == "hold b"
    play.settle()
    assert play.phases == "a running, b held"
    assert play.tell(Revived("b")) == "start b"


@each_strategy
def test_a_supervisor_ends_while_a_child_hangs_in_a_restart_loop(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy)).up()
    play.crash("b")
    play.settle()
    play.crash("b")
    assert "b waiting" in play.phases
    play.end()
    if not play.state.over:
        play.gone("a")
    assert play.state.over
    assert play.due("b") == ""


async def test_a_spawned_child_in_a_restart_loop_can_be_held_and_revived() -> None:
    async with Stage([worker()], clock=ManualClock()) as stage:
        await do(stage, "worker", "spawn", "leaf-1")
        for _ in range(2):
            await die(stage, "leaf-1")
        await stage.wait_until(lambda: stage.row("leaf-1").state == "restarting")
        cell = stage.cell_of("leaf-1")
        cell.hold("leaf-1", why="for a look")
        cell.revive("leaf-1")
        assert await do(stage, "leaf-1") == "done"


# --- order_of_children, scale_start_stop_many_children


@each_strategy
def test_the_order_of_children_outlives_restarts_and_hands(strategy: Strategy) -> None:
    play = Play(plan("abcde", strategy)).up()
    for name in "cae":
        play.crash(name)
        play.settle()
    play.tell(Restarted("b"), HeldByHand("d"))
    play.settle()
    play.tell(Revived("d"))
    play.settle()
    order, said = "", play.end()
    while said:
        order += said.removeprefix("stop ")
        said = play.gone(order[-1])
    assert order == "edcba"
    assert play.state.over


@each_strategy
def test_many_children_start_and_stop_in_order(strategy: Strategy) -> None:
    names = [f"c{number}" for number in range(300)]
    play = Play(Plan(children=tuple(Child(name=name) for name in names), strategy=strategy))
    said, started = play.tell(Begin()), list[str]()
    while said:
        started.append(said.removeprefix("start "))
        said = play.tell(Started(started[-1]))
    said, stopped = play.end(), list[str]()
    while said:
        stopped.append(said.removeprefix("stop "))
        said = play.gone(stopped[-1])
    assert started == names
    assert stopped == names[::-1]
