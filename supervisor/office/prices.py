"""What a token costs: as the fleet file says, else as genai-prices knows it, else as much as the dearest that is known.

genai-prices is data inside a package; it is asked nothing over a network.
"""

import math
from decimal import Decimal
from typing import Any, Final

from callboard.actors.llm import LlmConfig, PriceTable
from callboard.actors.office import Price

PICO_A_MILLION: Final = 1_000_000
"""Pico-dollars of one token, for a dollar a million tokens."""
DEAREST: Final = Price(input=150_000_000, output=600_000_000, cached=150_000_000)
"""Of what nobody knows the price: $150 and $600 a million, the dearest of genai-prices 0.2.3 (o1-pro)."""


def prices_of(config: LlmConfig) -> tuple[dict[str, Price], list[str]]:
    """Return the price of each model, by the name that agents use, and the names of those that nobody knows one of."""
    prices, unknown = dict[str, Price](), list[str]()
    for model in config.models:
        price = (
            _written(model.price)
            if model.price is not None
            else known_price(model.model or model.name, url=config.endpoint(model.endpoint).url)
        )
        if price is None:
            unknown.append(model.name)
        prices[model.name] = price or DEAREST
    return prices, unknown


def known_price(model: str, *, url: str = "") -> Price | None:
    """Return the price of a model at an endpoint, the dearest of its tiers; None if genai-prices knows none."""
    found = [price for each in _candidates(model, url) if (price := _price(each)) is not None]
    if not found:
        return None
    return Price(
        input=max(price.input for price in found), output=max(price.output for price in found),
        cached=max(price.cached for price in found),
    )  # fmt: skip


def _candidates(model: str, url: str) -> list[Any]:
    """Return all prices that a model of this name has, or may have by the conditions of its maker."""
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=1, output_tokens=1)
    for place in [url, None] if url else [None]:
        try:
            prices = calc_price(usage, model_ref=model, provider_api_url=place).model.prices
        except LookupError:
            continue
        return [each.prices for each in prices] if isinstance(prices, list) else [prices]
    return []


def _price(found: Any) -> Price | None:
    given, said = _dearest(found.input_mtok), _dearest(found.output_mtok)
    if given is None or said is None:
        return None
    cached = _dearest(found.cache_read_mtok)
    return Price(input=given, output=said, cached=given if cached is None else cached)


def _dearest(price: Any) -> int | None:
    """Return a price in pico-dollars a token; of one with tiers the dearest."""
    if price is None:
        return None
    amounts = [price] if isinstance(price, Decimal | int | float) else [price.base, *(t.price for t in price.tiers)]
    return max(math.ceil(Decimal(str(amount)) * PICO_A_MILLION) for amount in amounts)


def _written(table: PriceTable) -> Price:
    cached = table.input if table.cached is None else table.cached
    return Price(input=_pico(table.input), output=_pico(table.output), cached=_pico(cached))


def _pico(dollars: float) -> int:
    return math.ceil(Decimal(str(dollars)) * PICO_A_MILLION)
