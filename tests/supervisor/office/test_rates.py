"""What cells may ask for at once is never more than the limit, each actor has its part, and complaints are heard."""

from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.llm import ModelTable
from callboard.actors.office import BURST_TOKENS
from callboard.supervisor.office.rates import HALVED_FOR, TERM, Limits


def limits(requests: float | None = 60.0, tokens: float | None = None) -> Limits:
    return Limits(ModelTable(name="m", requests_per_minute=requests, tokens_per_minute=tokens))


ASKS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 20), st.integers(0, 5_000), st.floats(0.0, 2.0)), max_size=60
)


@given(ASKS, st.floats(1.0, 10_000.0), st.floats(100.0, 1e6), st.lists(st.floats(0.0, 20.0), max_size=5))
def test_at_no_moment_is_more_shared_out_than_the_limit(
    asks: list[tuple[str, int, int, float]], requests: float, tokens: float, complaints: list[float]
) -> None:
    shared, now = limits(requests, tokens), 0.0
    living = dict[str, tuple[float, float, float]]()
    for cell, actors, largest, step in asks:
        now += step
        if complaints and step > 1.8:
            shared.complain(complaints[-1], now=now)
            living.clear()  # what was shared out before counts as before; the limit itself is lower from now on
        rate = shared.share(cell, actors, largest, now=now)
        if rate.left:
            living[cell] = (now + rate.left, rate.requests, rate.tokens)
        alive = [(r, t) for until, r, t in living.values() if until > now]
        assert sum(r for r, _ in alive) <= requests * (1 + 1e-9)
        assert sum(t for _, t in alive) <= tokens * (1 + 1e-9)


def test_actors_have_the_same_wherever_they_live() -> None:
    shared = limits(400.0)
    for now in range(29):
        shared.share("a", 1, 0, now=float(now))
        shared.share("b", 9, 0, now=float(now) + 0.5)
    one, nine = shared.share("a", 1, 0, now=29.0), shared.share("b", 9, 0, now=29.5)
    assert one.requests * 9 == nine.requests


def test_a_cell_that_comes_late_has_its_part_after_one_term() -> None:
    shared = limits(400.0)
    assert shared.share("a", 1, 0, now=0.0).requests == 400.0
    assert shared.share("b", 1, 0, now=0.1).pause > 0
    assert shared.share("a", 1, 0, now=TERM).requests == 200.0
    assert shared.share("b", 1, 0, now=TERM + 0.1).requests == 200.0


def test_a_call_that_will_never_fit_is_told_what_would() -> None:
    rate = limits(None, 1_000.0).share("a", 1, 5_000, now=0.0)
    assert rate.most_tokens == 1_000.0 * BURST_TOKENS
    assert not rate.left


def test_a_large_call_has_a_share_that_it_fits_into() -> None:
    shared = limits(None, 10_000.0)
    shared.share("a", 9, 10, now=0.0)
    now = TERM
    while not (rate := shared.share("b", 1, 4_000, now=now)).left:
        now += rate.pause
        shared.share("a", 9, 10, now=now)
    assert rate.tokens * BURST_TOKENS >= 4_000


def test_a_complaint_halves_the_limit_once_for_a_burst_and_it_comes_back_bit_by_bit() -> None:
    shared = limits(60.0)
    assert shared.complain(0.0, now=10.0)
    assert not shared.complain(0.0, now=10.0 + HALVED_FOR / 2)
    assert shared.factor == 0.5
    seen = list[float]()
    for term in range(1, 12):
        shared.share("a", 1, 0, now=10.0 + term * TERM)
        seen.append(shared.factor)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_nobody_asks_while_the_endpoint_wants_rest() -> None:
    shared = limits(60.0)
    shared.complain(20.0, now=0.0)
    assert shared.share("a", 1, 0, now=5.0).pause == 15.0
    assert shared.share("a", 1, 0, now=20.0).left


def test_the_share_of_a_process_that_ended_is_free_at_once() -> None:
    shared = limits(60.0)
    assert shared.share("a", 1, 0, now=0.0).requests == 60.0
    shared.leave("a")
    assert shared.share("b", 1, 0, now=0.1).requests == 60.0
