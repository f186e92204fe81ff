"""How much of a request is granted, and which lines that reaches: a function of how its windows stand."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from .lease_request import LeaseRequest, Window

PARTS: Final = 32
"""A lease takes at most this part of what is free, unless even its least is more: others want some too."""

BudgetLine = Literal["warn", "step_down", "queue"]
_LINES: Final[tuple[BudgetLine, ...]] = ("warn", "step_down", "queue")
_WARN, _STEP_DOWN, _QUEUE = (1 << at for at in range(len(_LINES)))


class Crossed(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was reached for the first time in its window."""

    window: str
    line: BudgetLine


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """There is less free than the least. Of several such windows it is one that is spent, and that ends last."""

    window: str
    end: float
    limit: int
    """What may be spent at all; of who waits at a line, up to there."""
    spent: int
    reserved: int
    aside: bool
    """Whether there would be enough, were it not set aside for others."""
    waits: bool
    """Whether who is urgent may have it."""
    crossed: tuple[Crossed, ...] = ()
    """The lines that are reached by this: from there on, who is not urgent waits."""

    @property
    def free(self) -> int:
        """What is left; below zero after a limit was lowered, or calls did cost more than their worst case."""
        return self.limit - self.spent - self.reserved


class Stand(msgspec.Struct, frozen=True, gc=False):
    """How a window of a request stands before it."""

    window: Window
    number: int
    spent: int
    reserved: int
    told: int
    """Bits of the lines that were told."""

    @property
    def free(self) -> int:
        """What may still be reserved."""
        return self.window.limit - self.spent - self.reserved

    def limit_for(self, request: LeaseRequest) -> int:
        """What this request may reach: who is not urgent stops short of the line from which it waits."""
        limit, line = self.window.limit, self.window.queue
        return limit if request.urgent or not line else min(limit, line - 1)

    def free_for(self, request: LeaseRequest) -> int:
        """What this request may still reserve."""
        return self.limit_for(request) - self.spent - self.reserved

    def reached(self, amount: int) -> int:
        """Return the bits of the lines that are reached once `amount` is reserved."""
        total, bits = self.spent + self.reserved + amount, 0
        for bit, line in enumerate((self.window.warn, self.window.step_down, self.window.queue)):
            bits |= (0 < line <= total) << bit
        return bits


class Reached(msgspec.Struct, frozen=True, gc=False):
    """What a lease does to the lines of its windows."""

    crossed: tuple[Crossed, ...]
    step_down: bool
    queue: bool
    told: tuple[int, ...]
    """New bits of each window."""


def decide_amount(request: LeaseRequest, stands: Sequence[Stand]) -> int | Refused:
    """Return how much is leased, or why nothing is."""
    if not stands:
        return max(request.least, request.want)
    short = [stand for stand in stands if stand.free_for(request) < request.least]
    if short:
        return max((_refused(request, stand) for stand in short), key=lambda no: (not no.aside, no.end, -no.free))
    return max(request.least, min(request.want, min(stand.free_for(request) for stand in stands) // PARTS))


def _refused(request: LeaseRequest, stand: Stand) -> Refused:
    limit = stand.limit_for(request)
    return Refused(
        window=stand.window.name, end=stand.window.end, limit=limit, spent=stand.spent, reserved=stand.reserved,
        aside=limit - stand.spent >= request.least, waits=stand.free >= request.least,
    )  # fmt: skip


def decide_waits(request: LeaseRequest, stands: Sequence[Stand]) -> list[tuple[Stand, int]]:
    """Return in which windows who is refused waits at a line that was not told yet, and their bits from now on."""
    return [
        (stand, stand.told | _QUEUE)
        for stand in stands
        if stand.free_for(request) < request.least <= stand.free and not stand.told & _QUEUE
    ]


def decide_lines(stands: Sequence[Stand], amount: int) -> Reached:
    """Return which lines are reached, and which of them have not been told."""
    bits = [stand.reached(amount) for stand in stands]
    crossed = tuple(
        Crossed(window=stand.window.name, line=line)
        for stand, reached in zip(stands, bits, strict=True)
        for bit, line in enumerate(_LINES)
        if reached & ~stand.told & 1 << bit
    )
    told = tuple(stand.told | reached for stand, reached in zip(stands, bits, strict=True))
    return Reached(crossed, any(each & _STEP_DOWN for each in bits), any(each & _QUEUE for each in bits), told)
