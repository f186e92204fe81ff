"""What watching costs, and whom it hurts: beats of many idle actors, and false kills on a machine at its limit."""

import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio

from callboard import Fleet, Stalled
from callboard.actors import ActorSpec, Health
from callboard.guardian import CELLS as CELLS_STAGE
from callboard.guardian import Guardian
from callboard.supervisor.watch import times_of

from .limits import Limit, Measured, rows_of
from .patients import Do, Parent, Spawn, Thinker
from .report import Row

IDLE: Final = 200
BEATS_FOR: Final = 20.0
THINKERS: Final = 50
CELLS: Final = 10
WAITS: Final = 1000
LONGEST: Final = 60.0
BUSY: Final = 4
"""Processes that do nothing but spin, beside the fleet's own."""
_SPIN: Final = "while True: pass"

BEATS: Final = Limit(f"the beats of {IDLE} idle actors in one cell", "% of a core", 2.0)
FALSE_KILLS: Final = Limit(
    f"false kills in {WAITS:,} waits of up to 60 s on a full machine", "kills, and a hang caught", 0.5
)


async def measure_calm(only: str, say: Callable[[str], None]) -> list[Row]:
    """Return a row for each of the two whose name holds `only`."""
    rows: list[Row] = []
    if only in BEATS.work:
        share = await _share_of_beats()
        say(f"{BEATS.work}: {share:.2f} % of a core")
        rows += rows_of(BEATS, Measured([share]))
    if only in FALSE_KILLS.work:
        with Guardian.start() as guardian:
            kills = await _false_kills(guardian, say)
        say(f"{FALSE_KILLS.work}: {kills}")
        rows += rows_of(FALSE_KILLS, Measured([float(kills)]))
    return rows


async def _share_of_beats() -> float:
    """Return the processor time of a cell's main thread while its actors do nothing, in percent of a core."""
    async with Fleet("bench-beats", [Parent], isolation="process") as fleet:
        pid = (await fleet.ask(Parent.spawn, Spawn(count=IDLE), timeout=30.0)).pid
        await anyio.sleep(1.0)
        begin, before = time.monotonic(), times_of(pid).burned
        await anyio.sleep(BEATS_FOR)
        return (times_of(pid).burned - before) / (time.monotonic() - begin) * 100.0


async def _false_kills(guardian: Guardian, say: Callable[[str], None]) -> int:
    """Return how many cells died and handlers were stopped that only waited; the one that hangs must be caught."""
    health = Health(silent_after=3.0, stalled_after=20.0)
    specs = [
        ActorSpec(actor=Thinker, name=f"thinker-{n}", cell=f"cell-of-{n % 10}", health=health) for n in range(THINKERS)
    ]
    hung = ActorSpec(actor=Thinker, name="hung", cell="cell-of-hung", health=health)
    async with Fleet("bench-calm", [*specs, hung], isolation="process") as fleet:
        async with _full_machine(guardian), anyio.create_task_group() as tasks:
            caught = anyio.Event()
            tasks.start_soon(_hang, fleet, caught)
            failed = await _wait_all(fleet, [spec.name for spec in specs])
            with anyio.fail_after(60.0):
                await caught.wait()
        say(f"{FALSE_KILLS.work}: the hang was caught")
        return failed


async def _wait_all(fleet: Fleet, names: list[str]) -> int:
    """Ask all at once, WAITS questions; return how many were not answered as they should be."""
    failed = 0

    async def wait(number: int) -> None:
        nonlocal failed
        seconds = random.Random(number).uniform(5.0, LONGEST)  # noqa: S311 - repeatable, no secret
        try:
            await fleet.ask(names[number % len(names)], Do(seconds=seconds), timeout=3 * LONGEST)
        except Exception:  # noqa: BLE001 - whatever it was, this one only waited
            failed += 1

    async with anyio.create_task_group() as tasks:
        for number in range(WAITS):
            tasks.start_soon(wait, number)
    return failed


async def _hang(fleet: Fleet, caught: anyio.Event) -> None:
    try:
        await fleet.ask("hung", Do(what="hang"), timeout=3 * LONGEST)
    except Stalled:
        caught.set()


@asynccontextmanager
async def _full_machine(guardian: Guardian) -> AsyncIterator[None]:
    """Keep all processors busy for the time of the block."""
    async with AsyncExitStack() as stack:
        for _ in range(BUSY):
            process = await anyio.open_process([sys.executable, "-c", _SPIN], stdin=None, stdout=None, stderr=None)
            guardian.add(process.pid, stage=CELLS_STAGE)
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
        yield
