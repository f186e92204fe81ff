"""Whether and when to start again: properties of the decision, and its table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import RESTARTS, Intensity, Restart
from callboard.supervisor.restart import FIRST, JITTER, LONGEST, Exit, backoff, decide_restart

gaps = st.lists(st.floats(0.0, 100.0), min_size=1, max_size=60)
intensities = st.builds(Intensity, most=st.integers(0, 10), within=st.floats(0.1, 200.0))
chances = st.floats(0.0, 1.0)


@given(gaps=gaps, intensity=intensities, chance=chances)
def test_no_window_ever_has_more_restarts_than_allowed(gaps: list[float], intensity: Intensity, chance: float) -> None:
    crashes: tuple[float, ...] = ()
    now, restarted, held = 1000.0, list[float](), False
    for gap in gaps:
        now += gap
        decision = decide_restart("permanent", "crashed", crashes=crashes, intensity=intensity, now=now, chance=chance)
        crashes = decision.crashes
        if decision.do == "hold":
            held = True
            break
        restarted.append(now)
    for at in restarted:
        assert sum(at - intensity.within < other <= at for other in restarted) <= intensity.most
    if held:
        assert sum(now - at < intensity.within for at in restarted) == intensity.most


@given(gaps=gaps, intensity=intensities)
def test_what_is_counted_is_bounded_and_recent(gaps: list[float], intensity: Intensity) -> None:
    crashes: tuple[float, ...] = ()
    now = 0.0
    for gap in gaps:
        now += gap
        crashes = decide_restart("permanent", "crashed", crashes=crashes, intensity=intensity, now=now).crashes
        assert all(now - at < intensity.within for at in crashes)
        assert crashes[-1] == now
        if len(crashes) > intensity.most:
            break


@given(times=st.integers(-3, 10_000), chance=chances)
def test_a_delay_is_within_its_bounds(times: int, chance: float) -> None:
    delay = backoff(times, chance=chance)
    if times <= 0:
        assert delay == 0.0
    else:
        assert FIRST * (1 - JITTER) <= delay <= LONGEST * (1 + JITTER)


@given(times=st.integers(0, 100), chance=chances)
def test_delays_never_shrink(times: int, chance: float) -> None:
    assert backoff(times, chance=chance) <= backoff(times + 1, chance=chance)


def test_the_first_restart_comes_at_once_the_next_ones_double_up_to_the_longest() -> None:
    assert [backoff(times) for times in range(9)] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@given(chance=chances, other=chances)
def test_the_jitter_is_a_fifth_up_or_down(chance: float, other: float) -> None:
    assert backoff(3, chance=chance) / backoff(3, chance=other) <= (1 + JITTER) / (1 - JITTER)
    assert backoff(3, chance=0.0) == pytest.approx(2.0 * 0.8)
    assert backoff(3, chance=1.0) == pytest.approx(2.0 * 1.2)


TABLE: dict[tuple[Restart, Exit], str] = {
    ("permanent", "normal"): "restart",
    ("permanent", "crashed"): "restart",
    ("permanent", "bus-lost"): "restart",
    ("transient", "normal"): "end",
    ("transient", "crashed"): "restart",
    ("transient", "bus-lost"): "restart",
    ("temporary", "normal"): "end",
    ("temporary", "crashed"): "end",
    ("temporary", "bus-lost"): "end",
}


@pytest.mark.parametrize(("kind", "ended"), TABLE)
def test_the_table_of_restart_types(kind: Restart, ended: Exit) -> None:
    decision = decide_restart(kind, ended, crashes=(), intensity=Intensity(), now=10.0)
    assert decision.do == TABLE[kind, ended]


def test_the_table_is_complete() -> None:
    assert {kind for kind, _ in TABLE} == set(RESTARTS)
    assert len(TABLE) == 9


@given(gaps=gaps, intensity=intensities)
def test_a_lost_bus_never_counts_against_the_child(gaps: list[float], intensity: Intensity) -> None:
    now, crashes = 0.0, (0.0,)
    for gap in gaps:
        now += gap
        decision = decide_restart("permanent", "bus-lost", crashes=crashes, intensity=intensity, now=now)
        assert decision.do == "restart"
        assert set(decision.crashes) <= set(crashes)
        assert decision.delay > 0.0


def test_a_crash_as_old_as_the_window_is_forgotten() -> None:
    intensity = Intensity(most=1, within=30.0)
    kept = decide_restart("permanent", "crashed", crashes=(0.0,), intensity=intensity, now=29.9)
    forgotten = decide_restart("permanent", "crashed", crashes=(0.0,), intensity=intensity, now=30.0)
    assert (kept.do, forgotten.do) == ("hold", "restart")
    assert forgotten.crashes == (30.0,)


def test_what_may_never_crash_is_held_at_once() -> None:
    assert decide_restart("permanent", "crashed", crashes=(), intensity=Intensity(most=0), now=0.0).do == "hold"
