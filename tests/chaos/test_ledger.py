"""Each check of the ledger fails when what it checks is not so."""

from .ledger import (
    Baseline,
    Line,
    Sent,
    check_asks,
    check_baseline,
    check_guests,
    check_held,
    check_once,
    check_one_life,
    check_orphans,
    check_replaced,
    check_tells,
    lines_of,
)

CELLS = {"a": "one", "b": "one"}


def test_a_question_that_hears_nothing_is_wrong() -> None:
    assert not check_asks([Sent("a:1", "", "answered"), Sent("a:2", "", "actor-died")])
    assert check_asks([Sent("a:3", "", "deadline")]) == ["question a:3 ended as deadline"]
    assert check_asks([Sent("a:4", "", "open")])


def test_a_guest_that_hears_nothing_of_what_was_done_for_it_is_wrong() -> None:
    assert not check_guests([Sent("a:1", "", "answered"), Sent("a:2", "", "deadline")], [Line("a:1", 7, 0.5)])
    assert check_guests([Sent("a:1", "", "deadline")], [Line("a:1", 7, 0.5)])


def test_what_a_replaced_process_has_done_through_others_is_wrong() -> None:
    assert not check_replaced([Line("a:1", 7, 0.5)], {"a:2"})
    assert check_replaced([Line("a:2", 7, 0.5)], {"a:2"}) == ["a:2 was done, though a replaced process said it"]


def test_what_is_done_twice_is_wrong() -> None:
    assert not check_once(lines_of("a:1 7 0.5\na:2 7 0.6\n"))
    assert check_once([Line("a:1", 7, 0.5), Line("a:1", 8, 0.7)]) == ["a:1 was done 2 times"]


def test_a_tell_that_vanished_is_wrong() -> None:
    told = [Sent("a:1", "i1", "sent"), Sent("a:2", "i2", "sent"), Sent("a:3", "i3", "held"), Sent("a:4", "i4", "sent")]
    assert not check_tells(told, [Line("a:1", 7, 0.5)], ["i2"], ["i4"])
    assert check_tells(told, [Line("a:1", 7, 0.5)], [], ["i4"]) == ["tell a:2 (i2) was neither handled nor named"]


def test_a_process_that_works_after_its_successor_is_wrong() -> None:
    assert not check_one_life([Line("a:1", 7, 0.1), Line("b:1", 7, 0.2), Line("a:2", 8, 0.3)], CELLS)
    assert check_one_life([Line("a:1", 7, 0.1), Line("b:1", 8, 0.2), Line("a:2", 7, 0.3)], CELLS)


def test_an_actor_that_does_not_serve_is_wrong() -> None:
    assert not check_held({"a": "running", "b": "waiting"})
    assert check_held({"a": "held"}) == ["a is held"]


def test_what_is_left_behind_is_wrong() -> None:
    assert not check_orphans([])
    assert check_orphans([7]) == ["process 7 was left behind"]


def test_a_leak_is_wrong() -> None:
    assert not check_baseline(Baseline(3, 20), Baseline(4, 22))
    assert check_baseline(Baseline(3, 20), Baseline(3, 23)) == ["descriptors: 20 before, 23 after"]
