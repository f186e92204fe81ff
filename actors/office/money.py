"""Leases of money."""

from ..message import Message
from .price import Amount


class TakeMoney(Message):
    """May this actor spend `least`, and better `want`? Asked again under the same id it is one lease."""

    id: str
    epoch: int
    actor: str
    tree: str
    least: Amount
    want: Amount
    back: tuple[tuple[int, Amount], ...] = ()
    """Leases, and how much of each will have been used in all: the rest is given back with this."""
    urgent: bool = False
    """Whether it may be spent where others wait."""


class Money(Message):
    """A lease, or why there is none."""

    lease: int = 0
    amount: Amount = 0
    left: float | None = None
    """Seconds for which it is good; None: without end."""
    step_down: bool = False
    """Whether the cheaper model is to be asked."""
    urgent: bool = False
    """Whether it is for urgent calls alone."""
    budget: str = ""
    """The budget that has not so much left, if one has not."""
    wait: float = 0.0
    """Seconds until its window ends; 0.0: it has none."""
    queue: bool = False
    """Whether to wait for that instead of failing."""
    aside: bool = False
    """Whether it would have so much, were it not set aside for others: they may use less."""
    spent: Amount = 0
    reserved: Amount = 0
    limit: Amount = 0
