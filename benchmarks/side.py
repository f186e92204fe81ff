"""What is measured of each side, and how: the same loops drive all of them."""

import time
from statistics import median
from typing import Final, Protocol

import anyio

from .programs import Program

ASK_WITHIN: Final = 10.0
"""Seconds each side may take to answer one question."""
IN_FLIGHT: Final = 64


class Side(Protocol):
    """One of those compared."""

    async def tell(self, count: int) -> int:
        """Send `count` notes; when the last has been handled, return how many the receiver has handled."""
        ...

    async def ask(self, number: int) -> int:
        """Ask one question and return the number of its answer."""
        ...


class WrongResult(Exception):
    """A side has lost, doubled or changed a message: its figure would be worth nothing."""


async def told_per_second(side: Side, count: int) -> float:
    """Return messages a second, from the first one sent to the last one handled."""
    begin = time.perf_counter()
    handled = await side.tell(count)
    seconds = time.perf_counter() - begin
    if handled != count:
        raise WrongResult(f"{side} sent {count} notes and its receiver handled {handled}")
    return count / seconds


async def asked_per_second(side: Side, count: int) -> float:
    """Return answers a second with IN_FLIGHT questions open at any time."""
    if isinstance(side, Program):
        return await _asked_inside(side, count)
    numbers = iter(range(count))

    async def keep_asking() -> None:
        for number in numbers:
            await ask_checked(side, number)

    begin = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.start_soon(keep_asking)
    return count / (time.perf_counter() - begin)


async def _asked_inside(side: Program, count: int) -> float:
    begin = time.perf_counter()
    right = await side.ask_many(count)
    seconds = time.perf_counter() - begin
    if right != count:
        raise WrongResult(f"{side} asked {count} questions, and {right} were answered right")
    return count / seconds


async def median_latency(side: Side, count: int) -> float:
    """Return the median time of one question and its answer in microseconds, one open at a time."""
    taken = []
    for number in range(count):
        begin = time.perf_counter()
        await ask_checked(side, number)
        taken.append(time.perf_counter() - begin)
    return median(taken) * 1e6


async def ask_checked(side: Side, number: int) -> None:
    """Ask one question, and raise WrongResult if the answer is not its own."""
    answer = await side.ask(number)
    if answer != number + 1:
        raise WrongResult(f"{side} asked with {number} and got {answer}, not {number + 1}")
