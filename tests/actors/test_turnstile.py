"""A front door lets through what it may, in no time more, and says when there is room again."""

from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import DoorLimits, Turnstile

STEPS = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60)


@given(STEPS, st.floats(0.5, 50.0), st.integers(1, 20))
def test_no_span_of_time_lets_more_through_than_its_burst_and_rate(steps: list[float], rate: float, burst: int) -> None:
    turnstile, now, through = Turnstile(DoorLimits(rate=rate, burst=burst)), 0.0, list[float]()
    for step in steps:
        now += step
        if turnstile.admit(now) == 0.0:
            through.append(now)
    for index, begin in enumerate(through):
        for count, end in enumerate(through[index:], start=1):
            assert count <= burst + rate * (end - begin) + 1e-6


@given(STEPS, st.floats(0.5, 50.0), st.integers(1, 20))
def test_who_waits_as_long_as_is_said_comes_through(steps: list[float], rate: float, burst: int) -> None:
    turnstile, now = Turnstile(DoorLimits(rate=rate, burst=burst)), 0.0
    for step in steps:
        now += step
        if wait := turnstile.admit(now):
            assert 0.0 < wait <= 1.0 / rate + 1e-9
            now += wait + 1e-6
            assert turnstile.admit(now) == 0.0


def test_after_a_rest_a_burst_comes_through_and_no_more() -> None:
    turnstile = Turnstile(DoorLimits(rate=10.0, burst=3))
    assert [turnstile.admit(1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.1]
    assert [turnstile.admit(5000.0) > 0.0 for _ in range(5)] == [False, False, False, True, True]
