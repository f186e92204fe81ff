"""What people want to know of the ledger."""

from callboard.actors.llm import UnknownModelName, Usage, cost_of
from callboard.store.office import OfficeFile

from .messages import Costs, ShowCosts
from .prices import known_price
from .state import OfficeState


async def costs_of(state: OfficeState, request: ShowCosts) -> Costs:
    """Return what was spent, how the budgets stand, and which prompts are the longest. Raises UnknownModelName."""
    file = await state.file()
    return Costs(
        rows=tuple(await file.costs(request.by, request.since)),
        longest=tuple(await file.longest(request.longest, request.since)) if request.longest else (),
        budgets=tuple(await file.windows(state.clock.now())), unpriced=tuple(state.unpriced),
        as_cost=await _as(file, state, request) if request.as_model else None,
    )  # fmt: skip


async def _as(file: OfficeFile, state: OfficeState, request: ShowCosts) -> int:
    """Return what all calls would have cost if one model had been asked: the same tokens, at its price."""
    price = state.prices.get(request.as_model) or known_price(request.as_model)
    if price is None:
        raise UnknownModelName(f"nobody knows the price of {request.as_model!r}", model=request.as_model)
    rows = await file.tokens(request.since)
    return sum(cost_of(Usage(input=row.input, output=row.output, cached=row.cached), price) for row in rows)
