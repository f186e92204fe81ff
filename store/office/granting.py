"""How much of a wish is granted, and which lines that reaches: a function of how its windows stand."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from .wish import Window, Wish

PARTS: Final = 32
"""A lease takes at most this part of what is free, unless even its least is more: others want some too."""

Line = Literal["warn", "step_down", "queue"]
_LINES: Final[tuple[Line, ...]] = ("warn", "step_down", "queue")


class Crossed(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was reached for the first time in its window."""

    window: str
    line: Line


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """There is less free than the least. Of several such windows it is the one that ends last."""

    window: str
    end: float
    free: int
    """May be below zero."""
    limit: int


class Stand(msgspec.Struct, frozen=True, gc=False):
    """How a window of a wish stands before it."""

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


def decide_amount(wish: Wish, stands: Sequence[Stand]) -> int | Refused:
    """Return how much is leased, or why nothing is."""
    if not stands:
        return max(wish.least, wish.want)
    short = [stand for stand in stands if stand.free < wish.least]
    if short:
        worst = max(short, key=lambda stand: (stand.window.end, -stand.free))
        return Refused(
            window=worst.window.name, end=worst.window.end, free=worst.free, limit=worst.window.limit
        )  # fmt: skip
    return max(wish.least, min(wish.want, min(stand.free for stand in stands) // PARTS))


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
    return Reached(crossed, any(each & 2 for each in bits), any(each & 4 for each in bits), told)
