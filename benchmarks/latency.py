"""Latency under load that does not flatter: a question counts from when it was due, not from when it was sent.

A closed loop asks less as soon as answers are late, and so never measures what callers wait for then (coordinated
omission; the remedy is that of Gil Tene's wrk2). Here 512 callers each have their times beforehand, at random as
independent callers have them (Poisson); one who is late because of the last answer counts that too. The load is a part
of each side's own capacity: what it answers a second when the same callers ask without pause.
"""

import random
import time
from collections.abc import Callable
from typing import Final

import anyio
import anyio.abc
import msgspec

from .side import Side, ask_checked

LOADS: Final = (0.5, 0.8, 0.95)
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
SECONDS: Final = 4.0
_SIZING: Final = 60_000
CALLERS: Final = 512
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
        capacity = await _capacity(side)
        for load in LOADS:
            taken = await _open_loop(side, capacity * load)
            curve = Curve(name, load, round(capacity * load), _percentiles(taken))
            say(f"open loop, {name} at {load:.0%} of {capacity:,.0f}/s: {curve.percentiles} ms")
            curves.append(curve)
    return curves


async def _capacity(side: Side) -> float:
    """Return answers a second when all callers ask without pause."""
    numbers = iter(range(_SIZING))

    async def call() -> None:
        for number in numbers:
            await ask_checked(side, number)

    begin = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(CALLERS):
            tasks.start_soon(call)
    return _SIZING / (time.perf_counter() - begin)


async def _open_loop(side: Side, rate: float) -> list[float]:
    """Have all callers ask at random times, `rate` a second together; return how long each took, in seconds."""
    taken: list[float] = []

    async def call(number: int, begin: float) -> None:
        chance = random.Random(number)  # noqa: S311 - repeatable
        due = begin + chance.expovariate(rate / CALLERS)
        while due < begin + SECONDS:
            if (early := due - time.perf_counter()) > 0:
                await anyio.sleep(early)
            await ask_checked(side, number)
            taken.append(time.perf_counter() - due)
            due += chance.expovariate(rate / CALLERS)

    with anyio.fail_after(ALL_WITHIN):
        async with anyio.create_task_group() as tasks:
            begin = time.perf_counter()
            for number in range(CALLERS):
                tasks.start_soon(call, number, begin)
    return taken


def _percentiles(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        f"p{each:g}": round(ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] * 1e3, 3)
        for each in PERCENTILES
    }
