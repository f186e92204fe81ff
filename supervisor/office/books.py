"""What people want to know of the ledger."""

from callboard.actors.llm import UnknownModelName, Usage, cost_of
from callboard.store.office import OfficeFile

from .messages import Costs, ShowCosts
from .prices import known_price
from .room import Room


async def costs_of(room: Room, wish: ShowCosts) -> Costs:
    """Return what was spent, how the budgets stand, and which prompts are the longest. Raises UnknownModelName."""
    file = await room.file()
    return Costs(
        rows=tuple(await file.costs(wish.by, wish.since)),
        longest=tuple(await file.longest(wish.longest, wish.since)) if wish.longest else (),
        budgets=tuple(await file.windows(room.clock.now())), unpriced=tuple(room.unpriced),
        as_cost=await _as(file, room, wish) if wish.as_model else None,
    )  # fmt: skip


async def _as(file: OfficeFile, room: Room, wish: ShowCosts) -> int:
    """Return what all calls would have cost if one model had been asked: the same tokens, at its price."""
    price = room.prices.get(wish.as_model) or known_price(wish.as_model)
    if price is None:
        raise UnknownModelName(f"nobody knows the price of {wish.as_model!r}", model=wish.as_model)
    rows = await file.tokens(wish.since)
    return sum(cost_of(Usage(input=row.input, output=row.output, cached=row.cached), price) for row in rows)
