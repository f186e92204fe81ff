"""Backpressure: 100,000 messages for one slow actor, from a hundred senders that wait as long as they must.

It takes them one by one, as slowly as it is; so the flood is cut short when the others have been measured. What counts
is that nobody else pays for it, and that its memory is bounded by what may be under way.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import anyio

from callboard import Fleet, MailboxFull
from callboard.actors import ActorSpec

from .crowd import resident
from .limits import Limit, Measured, rows_of
from .patients import Do, Done, Patient
from .report import Row

MESSAGES, SENDERS = 100_000, 100
SLOW: Final = 0.001
ASKS: Final = 2_000
FOR: Final = 10.0
MEMORY: Final = Limit("memory of a cell while one slow actor is flooded", "times its idle memory", 2.0)
OTHERS: Final = Limit("p99 of its neighbour meanwhile", "times its p99 before", 2.0)


async def measure_pressure(only: str, say: Callable[[str], None]) -> list[Row]:
    """Return both rows, if the name of one holds `only`."""
    if only not in MEMORY.work and only not in OTHERS.work:
        return []
    specs = [ActorSpec(actor=Patient, name=name, cell="both") for name in ("slow", "quick")]
    async with Fleet("bench-pressure", specs, isolation="process") as fleet:
        pid = (await fleet.ask("quick", Do(), reply=Done)).pid
        before = await _p99(fleet)
        idle, most = resident(pid), 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_flood, fleet)
            with anyio.move_on_after(FOR):
                while True:
                    await anyio.sleep(0.1)
                    most = max(most, resident(pid))
            meanwhile = await _p99(fleet)
            tasks.cancel_scope.cancel()
    say(f"{OTHERS.work}: p99 {before * 1e3:.2f} ms before, {meanwhile * 1e3:.2f} ms meanwhile")
    return [*rows_of(MEMORY, Measured([most / idle])), *rows_of(OTHERS, Measured([meanwhile / before]))]


async def _flood(fleet: Fleet) -> None:
    """Have SENDERS callers with all the messages between them wait for room."""
    numbers = iter(range(MESSAGES))

    async def send() -> None:
        for _ in numbers:
            with suppress(MailboxFull):  # it has waited long enough for this one
                await fleet.tell("slow", Do(what="sleep", seconds=SLOW))

    async with anyio.create_task_group() as tasks:
        for _ in range(SENDERS):
            tasks.start_soon(send)


async def _p99(fleet: Fleet) -> float:
    taken = []
    for _ in range(ASKS):
        begin = time.perf_counter()
        await fleet.ask("quick", Do(), reply=Done)
        taken.append(time.perf_counter() - begin)
    return sorted(taken)[ASKS * 99 // 100]
