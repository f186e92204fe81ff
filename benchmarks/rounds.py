"""Turns of rounds: in each turn every side does one short round, ours first.

What disturbs the machine for a while so disturbs all sides. How many messages a round has is found for each side in a
warm-up, so that all rounds take about as long. A turn in which other programs were busy is done again, up to EXTRA
times; in the end the quietest turns count. Whether a turn was quiet is judged without looking at its figures.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from operator import attrgetter
from statistics import median
from typing import Any, Final

import anyio
import msgspec

from .disturbance import Watch
from .side import Side

Measure = Callable[[Any, int], Awaitable[float]]

QUIET: Final = 0.2
"""Cores that other programs may use in a turn that counts."""
EXTRA: Final = 5
ROUND_WITHIN: Final = 30.0
_WARM: Final = 0.3
_FIRST: Final = 64


class Turn(msgspec.Struct, frozen=True):
    """One round of each side, and how many cores others used meanwhile."""

    values: dict[str, float]
    others: float


class Figures(msgspec.Struct, frozen=True):
    """What the rounds of one side gave."""

    values: list[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """How far apart the best and the worst round are, as a part of the median."""
        return (max(self.values) - min(self.values)) / self.middle


async def run_turns(
    measure: Measure, sides: Mapping[str, Side], *, turns: int, seconds: float, say: Callable[[str], None]
) -> list[Turn]:
    """Return the `turns` quietest turns, of rounds that take about `seconds` each."""
    counts = {name: await _size(measure, side, seconds) for name, side in sides.items()}
    done: list[Turn] = []
    while sum(turn.others <= QUIET for turn in done) < turns and len(done) < turns + EXTRA:
        done.append(await _turn(measure, sides, counts))
        say(f"turn {len(done)}: others used {done[-1].others:.2f} cores; {_shown(done[-1].values)}")
    return sorted(done, key=attrgetter("others"))[:turns]


def figures_of(turns: list[Turn]) -> dict[str, Figures]:
    """Return the figures of each side."""
    return {name: Figures([turn.values[name] for turn in turns]) for name in turns[0].values}


async def _turn(measure: Measure, sides: Mapping[str, Side], counts: Mapping[str, int]) -> Turn:
    watch, values = Watch(), {}
    for name, side in sides.items():
        with anyio.fail_after(ROUND_WITHIN):
            values[name] = await measure(side, counts[name])
    return Turn(values, watch.others())


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


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,.0f}" for name, value in values.items())
