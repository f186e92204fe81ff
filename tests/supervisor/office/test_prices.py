"""What a token costs: as written, as known, or as the dearest, which is said."""

from callboard import EndpointTable, LlmTable, ModelTable, PriceTable, settle_llm
from callboard.supervisor.office.prices import DEAREST, known_price, prices_of

FAR = EndpointTable(name="far", url="https://models.example.org/v1")


def test_a_price_that_is_written_down_is_the_price() -> None:
    model = ModelTable(name="m", endpoint="far", price=PriceTable(input=0.25, output=2.0, cached=0.025))
    prices, unknown = prices_of(settle_llm(LlmTable(), [FAR], [model]))
    assert (prices["m"].input, prices["m"].output, prices["m"].cached) == (250_000, 2_000_000, 25_000)
    assert unknown == []


def test_a_well_known_model_has_its_price_without_a_network() -> None:
    price = known_price("gpt-5-mini")
    assert price is not None
    assert price.output > price.input > price.cached > 0


def test_of_a_model_with_tiers_the_dearest_counts() -> None:
    price = known_price("gemini-2.5-pro")
    assert price is not None
    assert price.input >= 2_500_000, "of prompts above 200,000 tokens"


def test_a_model_that_nobody_knows_counts_as_the_dearest_and_is_named() -> None:
    config = settle_llm(LlmTable(), [FAR], [ModelTable(name="m", endpoint="far", model="home-made-9b")])
    assert prices_of(config) == ({"m": DEAREST}, ["m"])


def test_nothing_that_is_known_is_dearer_than_the_dearest() -> None:
    from genai_prices.data import providers

    names = {model.id for provider in providers for model in provider.models}
    prices = [price for name in names if (price := known_price(name)) is not None]
    assert len(prices) > 100
    assert max(price.input for price in prices) <= DEAREST.input
    assert max(price.output for price in prices) <= DEAREST.output
