"""How soon what went wrong is mended: from the fault to the next message served, and to who waited being told.

Each fault is done ROUNDS times to a real fleet: the daemon here, each actor in a process of its own. There is no peer
that does all of this, so each figure stands next to the limit that we promise. Between two faults the budget's window
(WINDOW) passes, so that each restart is a first one, without backoff.
"""

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from statistics import median
from typing import Final

import anyio

from callboard import ActorDied, CallboardError, Fleet
from callboard.actors import ActorSpec, Health, Intensity

from .limits import Limit, Measured, rows_of
from .patients import Do, Done, Patient
from .report import Row

ROUNDS: Final = 20
WINDOW: Final = 0.5
SILENT_AFTER: Final = 1.0
WITHIN: Final = 20.0

Fault = Callable[["Ward"], Awaitable[float]]


class Ward:
    """A fleet with one patient."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._numbers = count(1)

    def fresh(self) -> float:
        """Return a number that no message has had: one content must not be in hand at three deaths (quarantine)."""
        return next(self._numbers) / 1000

    async def ask(self, what: str = "", *, seconds: float = 0.0) -> Done:
        """Ask the patient."""
        return await self._fleet.ask(Patient.do, Do(what=what, seconds=seconds), timeout=WITHIN)

    async def served_again(self) -> float:
        """Return when the next message was served; who died meanwhile is asked again at once."""
        with anyio.fail_after(WITHIN):
            while True:
                try:
                    await self.ask()
                except ActorDied:
                    continue
                return time.perf_counter()


async def crash(ward: Ward) -> float:
    """Milliseconds from the question that crashes its actor to the next one served."""
    begin = time.perf_counter()
    with suppress(CallboardError):
        await ward.ask("crash", seconds=ward.fresh())
    return (await ward.served_again() - begin) * 1e3


async def kill(ward: Ward) -> float:
    """Milliseconds from SIGKILL to the next message served."""
    pid = (await ward.ask()).pid
    begin = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    return (await ward.served_again() - begin) * 1e3


async def tell_caller(ward: Ward) -> float:
    """Milliseconds from SIGKILL to the moment in which who waited hears of it."""
    pid = (await ward.ask()).pid
    heard = 0.0

    async def wait() -> None:
        nonlocal heard
        try:
            await ward.ask("sleep", seconds=WITHIN + ward.fresh())
        except ActorDied:
            heard = time.perf_counter()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(0.1)  # it is in hand
        begin = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
    await ward.served_again()
    return (heard - begin) * 1e3


async def stop(ward: Ward) -> float:
    """Milliseconds beyond ``silent_after`` from SIGSTOP to the next message served."""
    pid = (await ward.ask()).pid
    begin = time.perf_counter()
    os.kill(pid, signal.SIGSTOP)
    return (await ward.served_again() - begin - SILENT_AFTER) * 1e3


async def block(ward: Ward) -> float:
    """Milliseconds beyond ``silent_after`` from a blocking call to the next message served."""
    begin = time.perf_counter()
    with suppress(ActorDied):
        await ward.ask("block", seconds=WITHIN + ward.fresh())
    return (await ward.served_again() - begin - SILENT_AFTER) * 1e3


LIMITS: Final[tuple[tuple[Limit, Fault], ...]] = (
    (Limit("a crash in the cell, to the next message served", "ms", 20.0), crash),
    (Limit("SIGKILL of a cell, to the next message served", "ms", 700.0), kill),
    (Limit("SIGKILL of a cell, to its caller told", "ms", 300.0), tell_caller),
    (Limit("SIGSTOP of a cell, to the next message served, beyond silent_after", "ms", 1000.0), stop),
    (Limit("a blocked loop, to the next message served, beyond silent_after", "ms", 1000.0), block),
)


async def measure_mending(only: str, say: Callable[[str], None]) -> list[Row]:
    """Return two rows, the median and the worst, for each fault whose name holds `only`."""
    rows: list[Row] = []
    for limit, fault in LIMITS:
        if only in limit.work:
            async with _ward() as ward:
                values = [await _round(ward, fault) for _ in range(ROUNDS)]
            say(f"{limit.work}: median {median(values):.0f} ms, worst {max(values):.0f} ms of {ROUNDS}")
            rows += rows_of(limit, Measured(values))
    return rows


async def _round(ward: Ward, fault: Fault) -> float:
    await ward.ask()
    value = await fault(ward)
    await anyio.sleep(WINDOW)
    return value


@asynccontextmanager
async def _ward() -> AsyncIterator[Ward]:
    spec = ActorSpec(
        actor=Patient, name="patient", cell="patient", intensity=Intensity(most=5, within=WINDOW),
        health=Health(silent_after=SILENT_AFTER, stalled_after=600.0),
    )  # fmt: skip
    async with Fleet("bench-ward", [spec], isolation="process") as fleet:
        yield Ward(fleet)
