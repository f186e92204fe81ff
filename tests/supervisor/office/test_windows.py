"""Windows of budgets: each moment is in one of each length, they follow each other, and who falls under which."""

import math

from hypothesis import given
from hypothesis import strategies as st

from callboard import BudgetTable
from callboard.supervisor.office.windows import bounds_of, call_limit, windows_of

MOMENTS = st.floats(0.0, 4e9)
PERS = st.sampled_from(["hour", "day", "month"])


@given(MOMENTS, PERS)
def test_a_moment_is_in_its_window_and_the_end_is_the_beginning_of_the_next(now: float, per: str) -> None:
    start, end = bounds_of(per, now)  # type: ignore[arg-type]  # one of three
    assert start <= now < end
    assert bounds_of(per, end)[0] == end  # type: ignore[arg-type]  # the same
    assert bounds_of(per, start) == (start, end)  # type: ignore[arg-type]  # the same


@given(st.floats(allow_nan=False), PERS)
def test_whatever_a_clock_says_there_is_a_window(now: float, per: str) -> None:
    start, end = bounds_of(per, now)  # type: ignore[arg-type]  # the same
    assert start < end


def test_a_call_falls_under_the_fleet_its_actor_and_its_tree() -> None:
    budgets = [
        BudgetTable(dollars=5.0, per="day"),
        BudgetTable(dollars=1.0, scope="actor", per="hour"),
        BudgetTable(dollars=2.0, scope="actor", actor="desk", per="month"),
        BudgetTable(dollars=3.0, scope="actor", actor="clerk", per="month"),
        BudgetTable(dollars=0.5, scope="tree"),
        BudgetTable(dollars=0.1, scope="call"),
    ]
    found = windows_of(budgets, actor="desk", tree="t1", now=1e9)
    assert [window.limit for window in found] == [5 * 10**9, 10**9, 2 * 10**9, 5 * 10**8]
    assert found[-1].end == math.inf
    assert len({window.name for window in found}) == 4
    assert len(windows_of(budgets, actor="desk", tree="", now=1e9)) == 3
    assert call_limit(budgets) == 10**8
    assert call_limit(budgets[:1]) is None


def test_lines_are_shares_of_the_dollars_and_off_where_they_are_zero() -> None:
    [window] = windows_of([BudgetTable(dollars=10.0, per="day", step_down=0.5)], actor="a", tree="", now=0.0)
    assert (window.warn, window.step_down, window.queue) == (8 * 10**9, 5 * 10**9, 0)
