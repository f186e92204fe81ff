"""What people want to know of the ledger."""

from collections.abc import Mapping, Sequence

from callboard.actors.llm import UnknownModelName, Usage, cost_of
from callboard.actors.office import Price
from callboard.store.office import Ledger

from .messages import Costs, ShowCosts
from .prices import known_price


async def costs_of(
    ledger: Ledger, request: ShowCosts, *, now: float, prices: Mapping[str, Price], unpriced: Sequence[str] = ()
) -> Costs:
    """Return what was spent, how the budgets stand, and which prompts are the longest. Raises UnknownModelName.

    Args:
        ledger: of the fleet.
        request: what is asked for.
        now: Unix seconds.
        prices: of its models, by the names that its agents use; others are looked up.
        unpriced: its models that nobody knows the price of.

    """
    return Costs(
        rows=tuple(await ledger.costs(request.by, request.since)),
        longest=tuple(await ledger.longest(request.longest, request.since)) if request.longest else (),
        budgets=tuple(await ledger.windows(now)), unpriced=tuple(unpriced),
        as_cost=await _as(ledger, request, prices) if request.as_model else None,
    )  # fmt: skip


async def _as(ledger: Ledger, request: ShowCosts, prices: Mapping[str, Price]) -> int:
    """Return what all calls would have cost if one model had been asked: the same tokens, at its price."""
    price = prices.get(request.as_model) or known_price(request.as_model)
    if price is None:
        raise UnknownModelName(f"nobody knows the price of {request.as_model!r}", model=request.as_model)
    rows = await ledger.tokens(request.since)
    return sum(cost_of(Usage(input=row.input, output=row.output, cached=row.cached), price) for row in rows)
