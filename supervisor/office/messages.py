"""What people ask about money, and what they are shown."""

from typing import Annotated, Literal

import msgspec

from callboard.actors import Message
from callboard.store.office import CostRow, PromptRow, Standing

By = Literal["", "actor", "model", "day", "prompt"]


class ShowCosts(Message):
    """What did it cost?"""

    by: By = ""
    since: float = 0.0
    """Unix seconds."""
    longest: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """How many of the longest prompts to show."""
    as_model: str = ""
    """Price it as if this model had been asked."""


class Costs(Message):
    """What it did. Money is nano-dollars."""

    rows: tuple[CostRow, ...] = ()
    longest: tuple[PromptRow, ...] = ()
    budgets: tuple[Standing, ...] = ()
    unpriced: tuple[str, ...] = ()
    as_cost: int | None = None
    """What all of it would have cost with another model."""
