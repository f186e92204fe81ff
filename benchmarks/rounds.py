"""Rounds in turn: each side does a short one, then the next side, and so on, all over again.

What disturbs the machine for a while so disturbs all sides. How many messages a round has is found for each side in a
warm-up, so that all rounds take about as long.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Final

import anyio
import msgspec

from .side import Side

Measure = Callable[[Side, int], Awaitable[float]]

ROUND_WITHIN: Final = 30.0
_WARM: Final = 0.3
_FIRST: Final = 64


class Figures(msgspec.Struct, frozen=True):
    """What the rounds of one side gave, in their order."""

    values: list[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """How far apart the best and the worst round are, as a part of the median."""
        return (max(self.values) - min(self.values)) / self.middle


async def run_rounds(
    measure: Measure, sides: Mapping[str, Side], *, rounds: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Figures]:
    """Return the figures of each side after `rounds` rounds of about `seconds` each."""
    counts = {name: await _size(measure, side, seconds) for name, side in sides.items()}
    values: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            say(f"round {number + 1} of {rounds}: {name}")
            with anyio.fail_after(ROUND_WITHIN):
                values[name].append(await measure(side, counts[name]))
    return {name: Figures(taken) for name, taken in values.items()}


async def _size(measure: Measure, side: Side, seconds: float) -> int:
    """Warm the side up, and return how many messages it handles in `seconds`."""
    count = _FIRST
    while True:
        begin = time.perf_counter()
        with anyio.fail_after(ROUND_WITHIN):
            await measure(side, count)
        taken = time.perf_counter() - begin
        if taken >= _WARM:
            return max(_FIRST, int(count * seconds / taken))
        count *= 4
