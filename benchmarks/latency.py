"""Latency under load that does not flatter: questions come when they come, not when the last one was answered.

A closed loop asks less as soon as answers are late, and so never measures what callers wait for then (coordinated
omission, Gil Tene). Here each question has its time beforehand, at random as independent callers have it (Poisson), and
its latency counts from that time on. The load is a part of each side's own capacity: what it answers a second with 64
questions in flight.
"""

import random
import time
from collections.abc import Callable
from typing import Final

import anyio
import anyio.abc
import msgspec

from .side import Side, asked_per_second

LOADS: Final = (0.5, 0.8, 0.95)
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
SECONDS: Final = 4.0
_SIZING: Final = 60_000
_TICK: Final = 0.0005
ALL_WITHIN: Final = 60.0


class Curve(msgspec.Struct, frozen=True):
    """The latencies of one side under one load, in milliseconds."""

    side: str
    load: float
    rate: int
    """Questions a second."""
    percentiles: dict[str, float]


async def measure_latency(sides: dict[str, Side], say: Callable[[str], None]) -> list[Curve]:
    """Return a curve for each side and load."""
    curves = []
    for name, side in sides.items():
        capacity = await asked_per_second(side, _SIZING)
        for load in LOADS:
            taken = await _open_loop(side, capacity * load)
            curve = Curve(name, load, round(capacity * load), _percentiles(taken))
            say(f"open loop, {name} at {load:.0%} of {capacity:,.0f}/s: {curve.percentiles} ms")
            curves.append(curve)
    return curves


async def _open_loop(side: Side, rate: float) -> list[float]:
    """Ask at random times, `rate` a second on average; return how long each took from its time on, in seconds."""
    chance, taken = random.Random(7), list[float]()  # noqa: S311 - repeatable

    async def ask(due: float) -> None:
        await side.ask(0)
        taken.append(time.perf_counter() - due)

    with anyio.fail_after(ALL_WITHIN):
        async with anyio.create_task_group() as tasks:
            due = begin = time.perf_counter()
            while due < begin + SECONDS:
                await anyio.sleep(_TICK)
                now = time.perf_counter()
                while due <= now:
                    tasks.start_soon(ask, due)
                    due += chance.expovariate(rate)
    return taken


def _percentiles(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        f"p{each:g}": round(ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] * 1e3, 3)
        for each in PERCENTILES
    }
