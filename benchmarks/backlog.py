"""A million tasks: ``python -m benchmarks.backlog``, or ``make backlog``. Takes about ten minutes, so not in every run.

The actor is held while the tasks are stored, then revived and timed until the last one is acknowledged: with a thousand
waiting, and with a million. What a task costs must not depend on how many others wait, and the memory of the cell that
handles them must not grow with how many it has handled.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

import anyio

from callboard import Fleet
from callboard.supervisor.messages import ListActors, Order
from callboard.supervisor.service import Supervisor

from . import report
from .crowd import resident
from .durable import Ours, Taker
from .durable_jobs import CountJobs
from .limits import Limit, Measured, rows_of
from .report import Row
from .side import ASK_WITHIN

FEW, MANY = 1_000, 1_000_000
STORING: Final = 256
LOOK_EVERY: Final = 0.01
RESULTS: Final = Path(__file__).parent / "results" / "latest.json"
COST: Final = Limit("a task with 1,000,000 waiting, against one with 1,000", "x", 1.1)
MEMORY: Final = Limit("memory of a cell after 1,000,000 tasks, against after 1,000", "x", 1.1)


async def measure(many: int) -> list[Row]:
    """Return the two rows."""
    async with Fleet("bench-backlog", [Taker], isolation="process") as fleet:
        pid = next(row.pid for row in (await fleet.ask(Supervisor.actors, ListActors(), timeout=ASK_WITHIN)).rows)
        await _seconds_each(fleet, FEW)  # warm
        few = [await _seconds_each(fleet, FEW) for _ in range(5)]
        light = resident(pid)
        many_each = await _seconds_each(fleet, many)
        heavy = resident(pid)
    print(f"{few} s each of {FEW:,}; {many_each} s each of {many:,}; {light >> 20} then {heavy >> 20} MiB")
    return [
        *rows_of(COST, Measured([many_each / sorted(few)[len(few) // 2]])),
        *rows_of(MEMORY, Measured([heavy / light])),
    ]


async def _seconds_each(fleet: Fleet, count: int) -> float:
    """Store `count` tasks for an actor that is held, let it go on, and return the seconds that each took."""
    ours, numbers, begin = Ours(fleet), iter(range(count)), time.perf_counter()
    await fleet.ask(Supervisor.order, Order(verb="hold", actor=Taker.name), timeout=ASK_WITHIN)

    async def keep_storing() -> None:
        for number in numbers:
            await ours.store(number)
            if number % 100_000 == 0 and number:
                print(f"stored {number:,}, {number / (time.perf_counter() - begin):,.0f} a second", file=sys.stderr)

    async with anyio.create_task_group() as tasks:
        for _ in range(STORING):
            tasks.start_soon(keep_storing)
    begin = time.perf_counter()
    await fleet.ask(Supervisor.order, Order(verb="revive", actor=Taker.name), timeout=ASK_WITHIN)
    while await ours.waiting():  # noqa: ASYNC110 - a queue tells nobody that it is empty
        await anyio.sleep(LOOK_EVERY)
    seconds = time.perf_counter() - begin
    handled = (await fleet.ask(Taker.count, CountJobs(), timeout=ASK_WITHIN)).count
    if handled != count:
        raise RuntimeError(f"{count} tasks were stored and {handled} handled")
    return seconds / count


def main() -> None:
    """Measure, and put the rows among the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backlog", description=__doc__)
    parser.add_argument("--many", type=int, default=MANY, help="instead of a million; then nothing is written")
    options = parser.parse_args()
    rows = anyio.run(measure, options.many, backend_options={"use_uvloop": True})
    print(report.table(rows, {}))
    if options.many == MANY:
        report.merge(RESULTS, rows)


if __name__ == "__main__":
    main()
