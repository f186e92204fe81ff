"""Money that the office has set aside for a cell, and what a call holds of it."""

from typing import Protocol

import msgspec

from ...office import Money

Back = tuple[tuple[int, int], ...]
"""Leases, and how much of each will have been used in all."""


class AskMoney(Protocol):
    """How the office is asked."""

    async def __call__(self, least: int, want: int, /, *, urgent: bool, back: Back) -> Money:
        """Lease at least so much and better so much, in nano-dollars; give back what is left of others."""
        ...


class Lease(msgspec.Struct, eq=False):
    """Money that an office has set aside for us."""

    id: int
    amount: int
    """What may be spent of it in all."""
    left: int
    """What is neither held nor spent."""
    until: float | None
    """Monotonic seconds; None: without end."""
    step_down: bool = False
    urgent: bool = False
    holds: int = 0
    used: float = 0.0
    """When it was held the last time, in monotonic seconds."""

    def is_over(self, now: float) -> bool:
        """Whether nothing of it may be held any more."""
        return self.until is not None and now >= self.until

    def shrink(self) -> int:
        """Let go what is left; return what may be spent of it in all from now on."""
        self.amount -= self.left
        self.left = 0
        return self.amount


class Hold(msgspec.Struct, eq=False):
    """What one call may cost."""

    lease: Lease
    amount: int

    @property
    def step_down(self) -> bool:
        """Whether the budget wants the cheaper model."""
        return self.lease.step_down
