"""Ten thousand actors in one cell: what each weighs, and what they cost while nobody speaks to them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio

from callboard import Fleet
from callboard.supervisor.watch import times_of

from .limits import Limit, Measured, rows_of
from .patients import Parent, Spawn
from .report import Row

BEFORE, CROWD = 100, 9_990
"""Children when the weight is first taken, and in the end: with their parent and the runtime's own ten thousand."""
IDLE_FOR: Final = 10.0
WITHIN: Final = 120.0
WEIGHT: Final = Limit("memory of one of 10,000 idle actors in one cell", "KiB", 8.0)
COST: Final = Limit("10,000 idle actors in one cell", "% of a core", 2.0)


async def measure_crowd(only: str, say: Callable[[str], None]) -> list[Row]:
    """Return a row for each of the two, if the name of one holds `only`."""
    if only not in WEIGHT.work and only not in COST.work:
        return []
    async with Fleet("bench-crowd", [Parent], isolation="process") as fleet:
        pid = (await fleet.ask(Parent.spawn, Spawn(count=BEFORE), timeout=WITHIN)).pid
        light, begin = resident(pid), time.perf_counter()
        await fleet.ask(Parent.spawn, Spawn(count=CROWD), timeout=WITHIN)
        say(f"{COST.work}: {(CROWD - BEFORE) / (time.perf_counter() - begin):,.0f} spawned a second")
        weight = (resident(pid) - light) / 1024 / (CROWD - BEFORE)
        await anyio.sleep(2.0)  # the beats of their start have been said
        begin, before = time.monotonic(), times_of(pid).burned
        await anyio.sleep(IDLE_FOR)
        cost = (times_of(pid).burned - before) / (time.monotonic() - begin) * 100.0
        begin = time.perf_counter()
    say(f"{COST.work}: all stopped in {time.perf_counter() - begin:.1f} s; {weight:.1f} KiB each, {cost:.2f} %")
    return [*rows_of(WEIGHT, Measured([weight])), *rows_of(COST, Measured([cost]))]


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024
