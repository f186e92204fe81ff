"""What models will cost, before anything runs: for ``callboard check``. Pure."""

from typing import Final

from callboard.actors.llm import BudgetTable, LlmConfig, Options, in_dollars
from callboard.actors.office import Price

from .naming import in_words, key_of
from .prices import prices_of
from .windows import nano

MOST: Final = Options().most
"""Tokens of an answer, where an agent does not say otherwise."""
PROMPT: Final = 1_000
"""Tokens of the prompt that is reckoned with."""
_REQUESTS: Final = f"requests to the dearest, {PROMPT:,} tokens in and {MOST:,} out"
_PICO: Final = 1_000
_MILLION: Final = 1_000_000


def outlook_of(config: LlmConfig) -> list[str]:
    """Return what each model costs, and what each budget is enough for, in words."""
    if not config.on:
        return []
    prices, unknown = prices_of(config)
    models = [
        f"model {model.name} at {model.endpoint}: {_a_million(prices[model.name])}"
        + ("; nobody knows its price, so it counts as the dearest there is: give it one" * (model.name in unknown))
        for model in config.models
    ]
    worst = max(map(_request, prices.values()))
    budgets = [
        f"{_whose(table)}: {in_dollars(limit)}"
        + (f", {limit // worst:,} {_REQUESTS}" if worst and table.scope != "call" else "")
        for table, limit in ((table, nano(table.dollars)) for table in config.budgets)
    ]
    return [*models, *budgets]


def _whose(table: BudgetTable) -> str:
    if table.scope == "call":
        return "the budget of one request"
    if table.scope == "tree":
        return "the budget of each task tree"
    return in_words(key_of(table, actor=table.actor or "each actor", tree=""))


def _request(price: Price) -> int:
    """Return what a request costs, in nano-dollars."""
    return (PROMPT * price.input + MOST * price.output) // _PICO


def _a_million(price: Price) -> str:
    read, written = (in_dollars(tokens * _MILLION // _PICO) for tokens in (price.input, price.output))
    return f"{read} for a million tokens read, {written} written"
