"""Each check of the ledger of durable work fails when what it checks is not so."""

from typing import Any

from .durable_ledger import (
    Dead,
    Death,
    Effect,
    File,
    check_buried,
    check_effects,
    check_followed,
    check_front,
    check_kept,
    check_once,
    check_order,
    check_settled,
    check_stored,
    check_told,
    effects_of,
)
from .durable_plan import Order, plan

ONE, POISON = Order("a", "ant", steps=1, then=1, tells=1), Order("p", "ant", fails=-1)
FIRST, SECOND = Order("k1", "ant", key="7", place=1), Order("k2", "ant", key="7", place=2)
BURIED = Dead("ant", "p", "handler-failed", 3)


def files(
    *done: str, clerk: tuple[str, ...] = (), told: tuple[str, ...] = (), places: tuple[int, ...] = ()
) -> dict[str, File]:
    """Return the files of an ant that has `done` tasks, those of a key at `places`, and of a clerk."""
    ant: dict[str, Any] = {f"did-{name}": 1 for name in done} | {"order-7": list(places)}
    heard = {f"did-{name}": 1 for name in clerk} | {f"told-{name}": 1 for name in told}
    return {"ant": File(frozenset(done), ant), "clerk": File(frozenset(clerk), heard)}


def test_a_task_that_was_never_acknowledged_is_wrong() -> None:
    assert not check_stored([ONE], {"a"})
    assert check_stored([ONE], set()) == ["task a was never acknowledged"]


def test_a_task_that_is_lost_or_both_done_and_buried_is_wrong() -> None:
    assert not check_kept([ONE, POISON], files("a"), [BURIED])
    assert check_kept([ONE, POISON], files(), [BURIED]) == ["task a of ant is lost"]
    assert check_kept([POISON], files("p"), [BURIED]) == ["task p of ant is done, and in the quarantine"]


def test_a_poisoned_task_that_is_not_buried_and_a_healthy_one_that_is_are_wrong() -> None:
    assert not check_buried([ONE, POISON], [BURIED, Dead("ant", "a", "poisonous", 4)])
    assert check_buried([POISON], []) == ["task p always fails, and is not buried"]
    assert check_buried([ONE], [Dead("ant", "a", "handler-failed", 4)]) == ["task a was buried: handler-failed"]


def test_a_task_that_counts_twice_or_without_being_done_or_not_at_all_is_wrong() -> None:
    assert not check_once(files("a", clerk=("a.0",)))
    assert check_once({"ant": File(frozenset("a"), {"did-a": 2})}) == ["task a of ant counts 2 times"]
    assert check_once({"ant": File(frozenset(), {"did-a": 1})}) == ["task a of ant counts, and is not done"]
    assert check_once({"ant": File(frozenset("a"), {})}) == ["task a of ant is done, and does not count"]


def test_what_follows_and_is_lost_or_follows_from_nothing_is_wrong() -> None:
    assert not check_followed([ONE], files("a", clerk=("a.0",)))
    assert not check_followed([ONE], files())
    assert check_followed([ONE], files("a")) == ["task a.0 was promised by a done task, and is lost"]
    assert check_followed([ONE], files(clerk=("a.0",))) == ["task a.0 was done, and no done task has said it"]


def test_a_word_that_is_heard_twice_or_from_a_task_that_is_not_done_is_wrong() -> None:
    assert not check_told([ONE], files("a"))
    assert not check_told([ONE], files("a", told=("a.0",)))
    assert check_told([ONE], files(told=("a.0",))) == ["word a.0 was heard, and no done task has said it"]
    twice = files("a") | {"clerk": File(frozenset(), {"told-a.0": 2})}
    assert check_told([ONE], twice) == ["word a.0 was heard 2 times"]


def test_tasks_of_one_key_out_of_order_are_wrong() -> None:
    assert not check_order([FIRST, SECOND], files("k1", "k2", places=(1, 2)))
    assert not check_order([FIRST, SECOND], files("k2", places=(2,)))
    assert len(check_order([FIRST, SECOND], files("k1", "k2", places=(2, 1)))) == 1
    assert len(check_order([FIRST, SECOND], files("k1", "k2", places=(1, 2, 2)))) == 1


def test_what_has_not_left_and_what_is_half_known_is_wrong() -> None:
    assert not check_settled(files("a"))
    left = {"ant": File(frozenset(), {}, [("tell", "x")], frozenset("a"))}
    assert check_settled(left) == ["tell x of ant has not left", "ant keeps steps or tries of a"]


def test_what_came_to_the_door_and_is_not_buried_is_wrong() -> None:
    assert not check_front({"ant": 1}, [Dead("ant", "q-4", "message-refused", 4)])
    assert check_front({"ant": 1}, [BURIED]) == ["of 1 at the door of ant only 0 are left"]


def test_an_effect_that_is_missing_or_repeated_without_a_death_is_wrong() -> None:
    first, then = effects_of("a/0 10 5 7.5\na/0 11 5 9.0\n")
    done = files("a")
    assert not check_effects([ONE], done, [first], [])
    assert check_effects([ONE], done, [], []) == ["step a/0 had no effect"]
    repeated = ["step a/0 was repeated after 1.500 s, and nobody had died"]
    assert check_effects([ONE], done, [first, then], []) == repeated
    assert check_effects([ONE], done, [first, then], [Death(10, 20.0), Death(12, 7.6)]) == repeated
    assert not check_effects([ONE], done, [first, then], [Death(10, 7.6)])
    assert not check_effects([ONE], done, [first, then], [Death(5, 6.0)])
    assert not check_effects([ONE], files(), [first, then], [])


def test_an_effect_that_is_repeated_in_the_same_process_is_wrong_whoever_has_died() -> None:
    lines = [Effect("a/0", 10, 5, 7.5), Effect("a/0", 10, 5, 7.9)]
    assert len(check_effects([ONE], files("a"), lines, [Death(10, 7.6)])) == 1


def test_the_same_seed_is_the_same_plan_and_it_has_everything_in_it() -> None:
    orders = plan(5_200, 7)
    assert orders == plan(5_200, 7) != plan(5_200, 8)
    assert len({order.name for order in orders}) == 5_200
    for what in ("key", "delay", "steps", "then", "tells", "again", "poisoned"):
        assert sum(bool(getattr(order, what)) for order in orders) > 10, what
    assert {order.priority for order in orders} == {"high", "normal", "low"}
    assert {order.fails for order in orders} == {-1, 0, 1, 2}
