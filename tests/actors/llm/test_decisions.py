"""What is decided about a call: whom to ask, whether again, when to leave an endpoint alone, what it can cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.llm import (
    BadAnswer,
    BadModelRequest,
    EndpointTable,
    LlmConfig,
    LlmTable,
    ModelBusy,
    ModelDown,
    ModelStalled,
    ModelTable,
    NoModelAllowed,
    NoModels,
    UnknownModelName,
    settle_llm,
)
from callboard.actors.llm.calls.breaker import TRIPS_AFTER, Breaker
from callboard.actors.llm.calls.route import routes_of
from callboard.actors.llm.calls.trying import Tried, rest_before_next
from callboard.actors.llm.purse.money import cost_of, most_tokens, worst_cost
from callboard.actors.llm.reply import Usage
from callboard.actors.llm.request import Request, Turn
from callboard.actors.office import Price

PRICE = Price(input=250_000, output=2_000_000, cached=25_000)


def three() -> LlmConfig:
    """Return a fleet with a good, a cheap and an own model, each at an endpoint of its own."""
    return settle_llm(
        LlmTable(default="good"),
        [
            EndpointTable(name="far", url="https://far.example/v1"),
            EndpointTable(name="near", url="https://near.example/v1"),
            EndpointTable(name="own", url="http://127.0.0.1:1/v1", sensitive=True),
        ],
        [
            ModelTable(name="good", endpoint="far", cheaper="cheap", fallback=("cheap", "own")),
            ModelTable(name="cheap", endpoint="near", fallback=("own",)),
            ModelTable(name="own", endpoint="own"),
        ],
    )  # fmt: skip


def names(config: LlmConfig, name: str = "", **how: object) -> list[str]:
    how = {"sensitive": False, **how}
    return [route.model.name for route in routes_of(config, name, **how)]  # type: ignore[arg-type]  # as given above


def test_the_model_that_was_asked_for_comes_first_and_its_fallbacks_after_it() -> None:
    assert names(three()) == ["good", "cheap", "own"]
    assert names(three(), "cheap") == ["cheap", "own"]


def test_what_is_sensitive_goes_only_where_it_may_even_if_nobody_asked_for_that() -> None:
    assert names(three(), sensitive=True) == ["own"]
    open_only = settle_llm(LlmTable(url="https://far.example/v1", model="good"))
    with pytest.raises(NoModelAllowed, match="sensitive = true"):
        names(open_only, sensitive=True)


def test_a_budget_that_steps_down_has_the_cheaper_model_asked() -> None:
    assert names(three(), step_down=True) == ["cheap", "own"]
    assert names(three(), "own", step_down=True) == ["own"]


def test_an_endpoint_that_is_down_is_asked_last() -> None:
    assert names(three(), is_down=lambda route: route.endpoint.name == "far") == ["cheap", "own", "good"]


def test_who_asks_for_nobody_or_in_a_fleet_without_models_is_told_so() -> None:
    with pytest.raises(UnknownModelName, match="good, cheap, own"):
        names(three(), "dear")
    with pytest.raises(NoModels, match="local = true"):
        names(LlmConfig())


# --- again?


def down(*, taken: bool = False) -> ModelDown:
    return ModelDown("down", cost="nothing", **({"status": 503} if taken else {}))


def test_nobody_there_is_asked_again_as_long_as_there_is_time() -> None:
    tried = Tried()
    for _ in range(50):
        tried = tried.after(down())
        assert rest_before_next(down(), tried, left=600.0, chance=0.5) is not None
    assert rest_before_next(down(), tried, left=2.0, chance=0.5) == 1.0, "what is left is halved, not given up"
    assert rest_before_next(down(), tried, left=0.05, chance=0.5) is None


def test_what_an_endpoint_took_and_failed_is_asked_three_times_at_most() -> None:
    tried, tries = Tried(), 1
    while (
        rest_before_next(down(taken=True), tried := tried.after(down(taken=True)), left=600.0, chance=0.0) is not None
    ):
        tries += 1
    assert tries == 3


def test_an_endpoint_that_says_when_is_not_asked_before() -> None:
    busy = ModelBusy("busy", wait=7.0, cost="nothing")
    assert rest_before_next(busy, Tried().after(busy), left=60.0, chance=0.0) == 7.0
    assert rest_before_next(busy, Tried().after(busy), left=6.0, chance=0.0) is None


@pytest.mark.parametrize("error", [ModelStalled("late"), BadModelRequest("wrong"), ValueError("ours")])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    assert rest_before_next(error, Tried(taken=1), left=600.0, chance=0.5) is None


def test_nonsense_that_was_paid_for_is_asked_for_once_more_and_not_twice() -> None:
    bad = BadAnswer("html", cost="unknown")
    assert rest_before_next(bad, Tried().after(bad), left=60.0, chance=0.5) is not None
    assert rest_before_next(bad, Tried().after(bad).after(bad), left=60.0, chance=0.5) is None


@given(st.integers(1, 60), st.floats(0.0, 1.0))
def test_rests_are_spread_and_bounded(times: int, chance: float) -> None:
    tried = Tried(refused=times)
    rest = rest_before_next(down(), tried, left=1e9, chance=chance)
    assert rest is not None
    assert 0.125 <= rest <= 7.5


# --- the breaker


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_try_after_its_rest() -> None:
    breaker = Breaker()
    for _ in range(TRIPS_AFTER):
        assert breaker.enter(0.0) == 0.0
        breaker.failed(0.0)
    assert breaker.enter(0.1) == pytest.approx(0.4)
    assert breaker.enter(0.6) == 0.0, "one tries"
    assert breaker.enter(0.6) > 0.0, "the others wait for it"
    breaker.succeeded()
    assert breaker.enter(0.6) == 0.0
    assert not breaker.open


def test_who_tries_and_goes_away_lets_the_next_one_try() -> None:
    breaker = Breaker()
    for _ in range(TRIPS_AFTER):
        breaker.failed(0.0)
    assert breaker.enter(1.0) == 0.0
    breaker.left()
    assert breaker.enter(1.0) == 0.0


def test_a_rest_doubles_up_to_its_limit() -> None:
    breaker, rests = Breaker(), list[float]()
    for at in range(20):
        breaker.failed(100.0 * at)
        rests.append(breaker.enter(100.0 * at))
    assert rests[TRIPS_AFTER : TRIPS_AFTER + 3] == [1.0, 2.0, 4.0]
    assert max(rests) == 5.0


# --- what it can cost


@given(st.text(max_size=300), st.integers(1, 5_000), st.integers(0, 200_000), st.integers(0, 200_000), st.data())
def test_no_usage_within_the_bounds_of_a_call_costs_more_than_its_worst_case(
    text: str, most: int, given_price: int, said_price: int, data: st.DataObject
) -> None:
    price = Price(input=given_price, output=said_price, cached=data.draw(st.integers(0, 200_000)))
    request = Request(model="m", turns=(Turn(role="user", content=text),), most=most)
    read = data.draw(st.integers(0, most_tokens(request)))
    usage = Usage(input=read, output=data.draw(st.integers(0, most)), cached=data.draw(st.integers(0, read)))
    assert 0 <= cost_of(usage, price) <= worst_cost(request, price)


def test_cached_tokens_cost_their_own_price_and_amounts_are_rounded_up() -> None:
    assert cost_of(Usage(input=1_000_000, output=0, cached=0), PRICE) == 250_000_000
    assert cost_of(Usage(input=1_000_000, output=0, cached=1_000_000), PRICE) == 25_000_000
    assert cost_of(Usage(input=1, output=0), Price(input=1, output=0, cached=0)) == 1


def test_an_endpoint_that_counts_below_nothing_gives_no_money_back() -> None:
    assert cost_of(Usage(input=-5, output=-5, cached=-5), PRICE) == 0
    assert cost_of(Usage(input=10, output=0, cached=99), PRICE) == 250  # 10 cached tokens, no fewer
