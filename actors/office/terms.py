"""The terms on which an actor asks models."""

from ..message import Message
from .price import Price


class AskTerms(Message):
    """On which terms may this actor ask models?"""

    actor: str


class Terms(Message):
    """What holds for one actor until the office or its cell starts anew."""

    prices: dict[str, Price]
    """Of each model, by the name that agents use."""
    life: int
    """Of the office: from its next one on these terms hold no longer, as the fleet file may have changed."""
    metered: bool
    """Whether there are budgets."""
    exact: bool
    """Whether each call needs a lease of its own: a tree of messages has a budget."""
    keys: tuple[bytes, ...] | None
    """The beginnings of the keys of all that this actor was answered before; None: too many to say."""
    memory: int
    """How often this actor's memory was changed by hand: what it answered before is not given again."""
