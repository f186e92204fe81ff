"""One supervisor: who is stopped and who is started, in which order, and when it gives up."""

from collections.abc import Callable

import pytest

from callboard.actors import RESTARTS, Intensity, Restart
from callboard.supervisor.plan import (
    Begin,
    Child,
    Due,
    End,
    Escalate,
    Event,
    Exited,
    Held,
    Hold,
    Plan,
    Restarted,
    Revived,
    Served,
    Start,
    Started,
    Stop,
    Strategy,
    Wait,
)
from callboard.supervisor.restart import Exit
from callboard.supervisor.tree import step

from .tree_play import NEVER, OFTEN, STRATEGIES, Play, plan

each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)
each_group = pytest.mark.parametrize("strategy", STRATEGIES[1:])


# --- begin and end


@each_strategy
def test_children_start_in_order_each_when_the_one_before_has_started(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy))
    assert play.tell(Begin()) == "start a"
    assert play.started("a") == "start b"
    assert play.started("b") == "start c"
    assert not play.state.settled
    assert play.started("c") == ""
    assert play.state.settled


@each_strategy
def test_children_stop_in_reverse_each_when_the_one_behind_is_gone(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy)).up()
    assert play.end() == "stop c"
    assert play.gone("c") == "stop b"
    assert play.gone("b") == "stop a"
    assert not play.state.over
    assert play.gone("a") == ""
    assert play.state.over


@each_strategy
def test_an_end_stops_what_is_starting_and_starts_nothing_more(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy))
    play.tell(Begin(), Started("a"))
    assert play.end() == "stop b"
    assert play.started("b") == ""
    assert play.gone("b") == "stop a"
    assert play.gone("a") == ""
    assert play.state.over


def test_an_end_during_a_backoff_is_over_at_once() -> None:
    play = Play(plan("a")).up()
    play.crash("a")
    assert play.crash("a") == "wait a"
    assert play.end() == ""
    assert play.state.over
    assert play.due("a") == ""


def test_what_begins_twice_or_after_its_end_changes_nothing() -> None:
    play = Play(plan("a")).up()
    assert play.tell(Begin()) == ""
    play.end()
    play.gone("a")
    assert play.tell(Begin(), End(), Revived("a"), Restarted("a"), Held("a")) == ""


# --- the strategies


def test_one_for_one_restarts_only_the_one_that_crashed() -> None:
    play = Play(plan("abc")).up()
    assert play.crash("b") == "start b"
    assert play.phases == "a running, b starting, c running"


def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() -> None:
    play = Play(plan("abc", "one_for_all")).up()
    assert play.crash("b") == "stop c"
    assert play.gone("c") == "stop a"
    assert play.gone("a") == "start a"
    assert play.started("a") == "start b"
    assert play.started("b") == "start c"


def test_rest_for_one_restarts_those_started_after_the_one_that_crashed() -> None:
    play = Play(plan("abcd", "rest_for_one")).up()
    assert play.crash("b") == "stop d"
    assert play.gone("d") == "stop c"
    assert play.gone("c") == "start b"
    assert play.started("b") == "start c"
    assert play.started("c") == "start d"
    assert play.phases == "a running, b running, c running, d starting"


@each_group
def test_the_exit_of_one_that_was_told_to_stop_is_no_crash(strategy: Strategy) -> None:
    children = (Child(name="a", intensity=OFTEN), Child(name="b", intensity=NEVER))
    play = Play(Plan(children=children, strategy=strategy, intensity=Intensity(most=1))).up()
    assert play.crash("a") == "stop b"
    assert play.crash("b") == "start a"
    assert play.started("a") == "start b"


@each_group
def test_one_that_dies_before_its_turn_to_stop_is_neither_told_nor_judged(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy, intensity=Intensity(most=1))).up()
    assert play.crash("a") == "stop c"
    assert play.crash("b") == ""
    assert play.gone("c") == "start a"
    assert play.started("a") == "start b"


def test_a_crash_of_an_earlier_one_while_later_ones_stop_widens_the_restart() -> None:
    play = Play(plan("abcd", "rest_for_one")).up()
    assert play.crash("c") == "stop d"
    assert play.crash("a") == ""
    assert play.gone("d") == "stop b"
    assert play.gone("b") == "start a"
    assert [play.started(name) for name in "abc"] == ["start b", "start c", "start d"]


def test_one_that_fails_to_start_with_its_group_takes_the_started_ones_down_again() -> None:
    play = Play(plan("abc", "one_for_all")).up()
    play.crash("a")
    play.gone("c")
    play.gone("b")
    play.started("a")
    assert play.crash("b") == "stop a"
    assert play.gone("a") == "start a"
    assert play.started("a") == "start b"


def test_in_rest_for_one_one_that_fails_to_start_leaves_those_before_it_alone() -> None:
    play = Play(plan("abc", "rest_for_one")).up()
    play.crash("a")
    play.gone("c")
    play.gone("b")
    play.started("a")
    assert play.crash("b") == "start b"
    assert play.phases == "a running, b starting, c idle"


def test_a_crash_while_the_group_starts_starts_nobody_twice() -> None:
    play = Play(plan("abc", "one_for_all")).up()
    play.crash("c")
    play.gone("b")
    play.gone("a")
    assert play.started("a") == "start b"
    assert play.crash("a") == "stop b"
    assert play.started("b") == ""
    assert play.gone("b") == "start a"
    assert [play.started(name) for name in "abc"] == ["start b", "start c", ""]


@each_group
def test_temporary_children_are_dropped_when_their_group_restarts(strategy: Strategy) -> None:
    children = (Child(name="a"), Child(name="b", restart="temporary"), Child(name="c"))
    play = Play(Plan(children=children, strategy=strategy)).up()
    assert play.crash("a") == "stop c"
    assert play.gone("c") == "stop b"
    assert play.crash("b") == "ended b, start a"
    assert play.started("a") == "start c"


@each_group
def test_what_ended_by_itself_does_not_come_back_with_its_group(strategy: Strategy) -> None:
    children = (Child(name="a"), Child(name="b", restart="transient"))
    play = Play(Plan(children=children, strategy=strategy)).up()
    assert play.gone("b") == "ended b"
    assert play.crash("a") == "start a"
    assert play.started("a") == ""


@each_group
def test_a_normal_end_takes_nobody_along(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, restart="transient")).up()
    assert play.gone("a") == "ended a"
    assert play.phases == "a ended, b running"


# --- slow and failing starts


def test_in_one_for_one_a_first_start_that_fails_lets_the_next_one_start() -> None:
    play = Play(plan("abc"))
    play.chance = 0.0
    play.tell(Begin())
    assert play.crash("a") == "start a"
    assert play.crash("a") == "wait a, start b"
    assert play.started("b") == "start c"
    assert play.due("a") == "start a"


@each_group
def test_in_a_group_those_behind_wait_for_one_that_fails_to_start(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy))
    play.tell(Begin(), Started("a"))
    play.crash("b", "bus-lost")
    if strategy == "one_for_all":
        play.gone("a")
    assert play.phases.endswith("b waiting, c idle")
    play.due("b")
    play.started("ab")
    assert play.phases == "a running, b running, c starting"


def test_in_one_for_one_a_restart_waits_for_nobody() -> None:
    play = Play(plan("abc"))
    play.tell(Begin(), Started("a"))
    assert play.crash("a") == "start a"
    assert play.phases == "a starting, b starting, c idle"


# --- exits


EXITS: dict[tuple[Restart, Exit], str] = {
    ("permanent", "normal"): "start a",
    ("permanent", "crashed"): "start a",
    ("permanent", "bus-lost"): "wait a",
    ("transient", "normal"): "ended a",
    ("transient", "crashed"): "start a",
    ("transient", "bus-lost"): "wait a",
    ("temporary", "normal"): "ended a",
    ("temporary", "crashed"): "ended a",
    ("temporary", "bus-lost"): "ended a",
}


@pytest.mark.parametrize(("restart", "how"), EXITS)
def test_restart_types(restart: Restart, how: Exit) -> None:
    play = Play(plan("a", restart=restart)).up()
    assert play.crash("a", how) == EXITS[restart, how]


def test_the_table_of_restart_types_is_complete() -> None:
    assert {kind for kind, _ in EXITS} == set(RESTARTS)


def test_a_lost_bus_counts_against_no_budget() -> None:
    play = Play(plan("a", each=NEVER, intensity=NEVER)).up()
    for _ in range(5):
        assert play.crash("a", "bus-lost") == "wait a"
        assert play.due("a") == "start a"
        play.started("a")
    assert play.crash("a") == "hold a"


# --- backoff


def test_the_first_restart_comes_at_once_and_the_next_after_a_backoff() -> None:
    play = Play(plan("a")).up()
    assert play.crash("a") == "start a"
    for seconds in (0.5, 1.0, 2.0):
        assert play.crash("a") == "wait a"
        assert play.waits["a"] == seconds
        assert play.due("a") == "start a"


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 0.4), (0.5, 0.5), (1.0, 0.6)])
def test_the_jitter_is_drawn_by_the_caller(chance: float, seconds: float) -> None:
    play = Play(plan("a")).up()
    play.chance = chance
    play.crash("a")
    play.crash("a")
    assert play.waits["a"] == pytest.approx(seconds)


def test_in_one_for_all_nobody_starts_before_the_backoff_is_over() -> None:
    play = Play(plan("abc", "one_for_all")).up()
    assert play.crash("b", "bus-lost") == "wait b, stop c"
    assert play.gone("c") == "stop a"
    assert play.gone("a") == ""
    assert play.due("b") == "start a"


def test_in_rest_for_one_those_before_run_on_during_the_backoff() -> None:
    play = Play(plan("abc", "rest_for_one")).up()
    assert play.crash("b", "bus-lost") == "wait b, stop c"
    assert play.gone("c") == ""
    assert play.phases == "a running, b waiting, c idle"
    assert play.due("b") == "start b"


@each_group
def test_a_backoff_that_ends_while_others_stop_starts_nobody_too_early(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy)).up()
    play.crash("a", "bus-lost")
    assert play.due("a") == ""
    assert play.gone("c") == "stop b"
    assert play.gone("b") == "start a"


def test_the_timer_of_a_wait_that_was_cut_short_does_not_shorten_the_next() -> None:
    play = Play(plan("a")).up()
    play.crash("a")
    play.crash("a")
    play.now += 0.3
    assert play.tell(Restarted("a"), Started("a")) == "start a"
    assert play.crash("a") == "wait a"
    play.now += 0.2
    assert play.tell(Due("a")) == ""
    play.now += 0.8
    assert play.tell(Due("a")) == "start a"


def test_a_timer_that_comes_a_trifle_early_is_heard() -> None:
    play = Play(plan("a")).up()
    play.crash("a", "bus-lost")
    play.now += play.waits["a"] - 1e-6
    assert play.tell(Due("a")) == "start a"


# --- budgets


@each_strategy
def test_one_that_has_spent_its_budget_is_held_and_its_siblings_run_on(strategy: Strategy) -> None:
    children = (Child(name="a"), Child(name="b", intensity=NEVER), Child(name="c"))
    play = Play(Plan(children=children, strategy=strategy)).up()
    assert play.crash("b") == "hold b"
    assert play.why == "1 crashes within 30 s: boom"
    assert play.phases == "a running, b held, c running"
    assert play.state.settled


@each_strategy
def test_a_spent_budget_that_escalates_stops_all_in_reverse_and_then_says_so(strategy: Strategy) -> None:
    children = (Child(name="a"), Child(name="b", intensity=NEVER), Child(name="c"))
    play = Play(Plan(children=children, strategy=strategy, on_spent="escalate")).up()
    assert play.crash("b") == "stop c"
    assert play.gone("c") == "stop a"
    assert play.gone("a") == "escalate"
    assert play.why == "b: 1 crashes within 30 s: boom"
    assert play.state.over


def test_a_group_that_has_nothing_left_to_stop_escalates_at_once() -> None:
    play = Play(plan("a", each=NEVER, on_spent="escalate")).up()
    assert play.crash("a") == "escalate"


@each_strategy
def test_the_budget_of_the_group_counts_the_restarts_of_all_its_children(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, intensity=Intensity(most=1, within=10.0))).up()
    play.crash("b")
    play.settle()
    assert play.crash("a") == "stop b"
    assert play.gone("b") == "escalate"
    assert play.why == "2 crashes in the group within 10 s, the last of a: boom"


def test_a_group_whose_crashes_are_far_enough_apart_goes_on() -> None:
    play = Play(plan("ab", intensity=Intensity(most=1, within=10.0))).up()
    for _ in range(5):
        for name in "ab":
            assert play.crash(name).split(",")[0] in (f"start {name}", f"wait {name}")
            play.now += 10.0
            play.tell(Due(name), Started(name))


def test_a_hold_is_no_restart_and_does_not_count_for_the_group() -> None:
    play = Play(plan("ab", each=NEVER, intensity=NEVER)).up()
    assert play.crash("a") == "hold a"
    assert play.crash("b") == "hold b"


# --- a person's hand


@each_strategy
def test_a_hold_refuses_at_once_stops_and_touches_only_the_one_it_names(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy, each=NEVER)).up()
    assert play.tell(Held("a", "for a look")) == "hold a, stop a"
    assert play.why == "for a look"
    assert play.crash("a") == ""
    assert play.phases == "a held, b running, c running"
    assert play.tell(Held("a")) == ""


@each_strategy
def test_a_revival_brings_a_fresh_budget(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, each=Intensity(most=1))).up()
    for _ in range(3):
        play.crash("b")
        play.settle()
        assert play.crash("b") == "hold b"
        assert play.tell(Revived("b")) == "start b"
        play.settle()


@each_strategy
def test_a_restart_by_hand_counts_nowhere_and_touches_only_the_one_it_names(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy, each=NEVER, intensity=NEVER)).up()
    for _ in range(3):
        assert play.tell(Restarted("b")) == "stop b"
        assert play.gone("b") == "start b"
        assert play.started("b") == ""


def test_a_restart_by_hand_cuts_a_backoff_short_and_ends_a_hold() -> None:
    play = Play(plan("a")).up()
    play.crash("a", "bus-lost")
    assert play.tell(Restarted("a"), Started("a")) == "start a"
    play.tell(Held("a"), Exited("a", "normal"))
    assert play.tell(Restarted("a")) == "start a"


def test_a_hold_ends_a_backoff_and_its_timer_is_passed_over() -> None:
    play = Play(plan("a")).up()
    play.crash("a", "bus-lost")
    assert play.tell(Held("a")) == "hold a"
    assert play.due("a") == ""
    assert play.state.settled


def test_one_that_is_revived_while_it_still_stops_starts_when_it_is_gone() -> None:
    play = Play(plan("a")).up()
    play.tell(Held("a"))
    assert play.tell(Revived("a")) == ""
    assert play.gone("a") == "start a"


@each_group
@pytest.mark.parametrize("name", ["b", "c"])
def test_one_that_is_held_while_its_group_restarts_stays_behind(strategy: Strategy, name: str) -> None:
    play = Play(plan("abc", strategy)).up()
    assert play.crash("a") == "stop c"
    assert play.tell(Held(name)) == f"hold {name}"
    assert play.gone("c") == "stop b"
    assert play.gone("b") == "start a"
    assert play.started("a") == f"start {'c' if name == 'b' else 'b'}"


@each_group
def test_a_hand_on_a_temporary_child_that_goes_with_its_group_is_too_late(strategy: Strategy) -> None:
    children = (Child(name="a"), Child(name="b", restart="temporary"))
    play = Play(Plan(children=children, strategy=strategy)).up()
    play.crash("a")
    assert play.tell(Held("b"), Restarted("b"), Revived("b")) == ""
    assert play.gone("b") == "ended b, start a"


@each_strategy
def test_a_hold_told_before_the_beginning_is_kept(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy))
    assert play.tell(Held("a")) == "hold a"
    assert play.tell(Begin()) == "start b"
    assert play.started("b") == "start c"
    assert play.tell(Started("c"), Revived("a")) == "start a"


@each_strategy
@pytest.mark.parametrize("hand", [Revived, Restarted])
def test_a_hand_brings_back_what_ended_by_itself(strategy: Strategy, hand: Callable[[str], Event]) -> None:
    play = Play(plan("ab", strategy, restart="temporary")).up()
    assert play.crash("b") == "ended b"
    assert play.tell(hand("b")) == "start b"


def test_a_revival_changes_nothing_of_one_who_is_not_held() -> None:
    play = Play(plan("ab")).up()
    play.crash("b", "bus-lost")
    assert play.tell(Revived("a"), Revived("b")) == ""


# --- when a restart is done


def test_a_restart_is_done_once_it_has_served() -> None:
    play = Play(plan("a")).up()
    assert play.served("a") == ""
    play.crash("a")
    assert play.started("a") == ""
    assert play.crash("a") == "wait a"
    play.due("a")
    play.started("a")
    assert play.served("a") == "recovered a 2"
    assert play.served("a") == ""
    play.crash("a")
    play.tell(Due("a"), Started("a"))


def test_those_who_went_down_with_another_recover_too_without_crashes_of_their_own() -> None:
    play = Play(plan("ab", "one_for_all")).up()
    play.crash("a")
    play.gone("b")
    play.started("ab")
    assert play.served("b") == "recovered b 0"
    assert play.served("a") == "recovered a 1"


# --- the top


@each_strategy
def test_a_group_given_up_at_the_top_is_held_whole_and_stopped_in_reverse(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy, intensity=NEVER, top=True)).up()
    assert play.crash("b") == "escalate, hold a, hold b, hold c, stop c"
    assert play.why == "1 crashes in the group within 30 s, the last of b: boom"
    assert play.gone("c") == "stop a"
    assert play.gone("a") == ""
    assert play.phases == "a held, b held, c held"
    assert play.state.mode == "held"


@each_strategy
def test_a_spent_child_takes_its_group_along_where_the_plan_says_so(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, each=NEVER, on_spent="escalate", top=True)).up()
    assert play.crash("a") == "escalate, hold a, hold b, stop b"
    assert play.why == "a: 1 crashes within 30 s: boom"


@each_strategy
@pytest.mark.parametrize("hand", [Revived, Restarted])
def test_reviving_one_of_a_held_group_revives_all_in_order_with_fresh_budgets(
    strategy: Strategy, hand: Callable[[str], Event]
) -> None:
    play = Play(plan("abc", strategy, each=NEVER, on_spent="escalate", intensity=NEVER, top=True)).up()
    for _ in range(2):
        play.crash("b")
        play.gone("c")
        play.gone("a")
        assert play.tell(hand("b")) == "start a"
        assert [play.started(name) for name in "abc"] == ["start b", "start c", ""]
        assert play.phases == "a running, b running, c running"


@each_strategy
def test_whom_a_person_held_does_not_rise_with_the_group_unless_named(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy, intensity=NEVER, top=True)).up()
    play.tell(Held("a"))
    play.gone("a")
    assert play.crash("b") == "escalate, hold b, hold c, stop c"
    play.gone("c")
    assert play.tell(Held("c")) == "hold c"
    assert play.tell(Revived("b")) == "start b"
    assert play.phases == "a held, b starting, c held"


@each_strategy
def test_a_group_revived_while_it_stops_still_starts_in_order(strategy: Strategy) -> None:
    play = Play(plan("abc", strategy, intensity=NEVER, top=True)).up()
    assert play.crash("c") == "escalate, hold a, hold b, hold c, stop b"
    assert play.tell(Revived("a")) == ""
    assert play.gone("b") == "stop a"
    assert play.gone("a") == "start a"
    assert [play.started(name) for name in "abc"] == ["start b", "start c", ""]


@each_strategy
def test_a_held_group_ends_like_any_other(strategy: Strategy) -> None:
    play = Play(plan("ab", strategy, intensity=NEVER, top=True)).up()
    play.crash("a")
    assert play.end() == ""
    assert play.tell(Held("a"), Revived("a")) == ""
    assert play.gone("b") == ""
    assert play.state.over


# --- a child in several parts


def test_one_that_falters_lives_on_and_only_its_part_is_made_anew() -> None:
    play = Play(plan("ab")).up()
    assert play.falter("a") == "mend a"
    assert play.waits["a"] == 0.0
    assert play.falter("a") == "mend a"
    assert play.waits["a"] == 0.5
    assert play.phases == "a running, b running"
    assert play.served("a") == "recovered a 2"


def test_one_that_falters_too_often_is_held() -> None:
    play = Play(plan("ab", each=Intensity(most=1))).up()
    assert play.falter("a") == "mend a"
    assert play.falter("a") == "hold a, stop a"
    assert play.falter("a") == ""
    assert play.gone("a") == ""
    assert play.phases == "a held, b running"


def test_what_falters_counts_for_its_group() -> None:
    play = Play(plan("ab", intensity=NEVER)).up()
    assert play.falter("a") == "stop b"
    assert play.gone("b") == "stop a"
    assert play.gone("a") == "escalate"


def test_a_temporary_child_that_falters_is_stopped_and_ended() -> None:
    play = Play(plan("ab", restart="temporary")).up()
    assert play.falter("a") == "stop a"
    assert play.gone("a") == "ended a"


# --- those who need no order


def test_children_that_do_not_need_each_other_start_together() -> None:
    play = Play(Plan(children=tuple(Child(name=name) for name in "abc"), together=True))
    assert play.tell(Begin()) == "start a, start b, start c"
    assert play.crash("b") == "start b"


# --- the door, and purity


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="children need different names; named twice: a"):
        plan("aba")


def test_a_child_that_is_not_in_the_plan_is_an_error_of_the_shell() -> None:
    with pytest.raises(ValueError, match="nobody"):
        Play(plan("a")).up().tell(Started("nobody"))


def test_a_step_changes_nothing_but_what_it_returns() -> None:
    play = Play(plan("abc", "one_for_all")).up()
    before, event = play.state, Exited("b", "crashed", "boom")
    one = step(play.plan, before, event, play.now)
    assert before == Play(plan("abc", "one_for_all")).up().state
    assert step(play.plan, before, event, play.now) == one


# --- a tree


class Nested:
    """A node within a node, as a shell puts them together; leaves are told, nodes are steps."""

    def __init__(self, outer: Plan, inner: Plan) -> None:
        self.top, self.plan, self.low = Play(outer), inner, Play(inner)
        self.lives = 0
        self.held = ""

    def tell_top(self, event: Event) -> None:
        top = self.top
        top.state, actions = step(top.plan, top.state, event, top.now)
        for action in actions:
            match action:
                case Start("cell"):
                    self.low = Play(self.plan)
                    self.low.now = top.now
                    self.tell_low(Begin())
                case Stop("cell"):
                    self.tell_low(End())
                case Wait("cell", seconds):
                    top.now += seconds
                    self.tell_top(Due("cell"))
                case Hold("cell", why):
                    self.held = why
                case _:
                    raise AssertionError(action)

    def tell_low(self, event: Event) -> None:
        low = self.low
        low.state, actions = step(low.plan, low.state, event, low.now)
        for action in actions:
            match action:
                case Start():
                    self.lives += 1
                    self.tell_low(Started(action.name))
                case Stop():
                    self.tell_low(Exited(action.name, "normal"))
                case Wait():
                    low.now += action.seconds
                    self.tell_low(Due(action.name))
                case Escalate(why):
                    self.tell_top(Exited("cell", "crashed", why))
                    return
                case _:
                    raise AssertionError(action)
        if low is self.low and low.state.settled:
            self.tell_top(Exited("cell", "normal") if low.state.over else Started("cell"))


def test_a_child_in_trouble_restarts_then_its_cell_and_at_last_the_cell_is_held() -> None:
    inner = plan("a", each=Intensity(most=2, within=1000.0), on_spent="escalate")
    tree = Nested(Plan(children=(Child(name="cell", intensity=Intensity(most=1, within=1000.0)),)), inner)
    tree.tell_top(Begin())
    for _ in range(20):
        if tree.held:
            break
        tree.tell_low(Exited("a", "crashed", "boom"))
    assert tree.held == "2 crashes within 1000 s: a: 3 crashes within 1000 s: boom"
    assert tree.lives == (2 + 1) * (1 + 1)


def test_stopping_the_upper_node_stops_the_lower_one() -> None:
    tree = Nested(Plan(children=(Child(name="cell"),)), plan("ab"))
    tree.tell_top(Begin())
    assert tree.top.state.settled
    tree.tell_top(End())
    assert tree.low.state.over
    assert tree.top.state.over


@pytest.mark.parametrize("event", [Started, Served, Due, lambda name: Exited(name, "crashed")])
def test_what_comes_of_a_child_without_a_life_changes_nothing(event: Callable[[str], Event]) -> None:
    play = Play(plan("ab", "rest_for_one"))
    play.tell(Begin())
    assert play.tell(event("b")) == ""
    assert play.phases == "a starting, b idle"
