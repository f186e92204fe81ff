"""Upkeep of the two processes that a fleet stands on: its guardian, and its nats-server."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from callboard.actors import Intensity
from callboard.background import background
from callboard.bus import NatsServer
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.guardian import Guardian

from .pulse import STUCK_AFTER, kill_if_stuck
from .records import Records
from .restart import decide_restart
from .thaw import end_if_frozen

INTENSITY: Final = Intensity(most=5, within=60.0)
"""A server that ends once more is given up. Longer than an actor's window: a start can take 10 seconds to fail."""
_LOOK_EVERY: Final = 2.0


@asynccontextmanager
async def open_guardian(*, records: Records, clock: Clock) -> AsyncGenerator[Guardian, None]:
    """Run a guardian for the time of the block; one that was killed is replaced within two seconds."""
    with Guardian.start() as guardian:
        async with background() as tasks:
            tasks.start_soon(_keep_guardian, guardian, records, clock)
            yield guardian


async def _keep_guardian(guardian: Guardian, records: Records, clock: Clock) -> None:
    """Look now and then: a fleet at rest starts no process, and would not notice otherwise."""
    while True:
        await clock.sleep(_LOOK_EVERY)
        if guardian.alive:
            continue
        try:
            guardian.ensure()
        except CallboardError as error:
            await records.add("guardian-missing", "guardian", error.text, {"code": error.code})
        else:
            await records.add("guardian-replaced", "guardian", f"it had ended; process {guardian.pid} guards now")


@asynccontextmanager
async def open_server(
    directory: Path, *, fleet: str, binary: Path | None = None, guardian: Guardian, records: Records, clock: Clock,
    give_up: Callable[[str], None], stuck_after: float = STUCK_AFTER,
) -> AsyncGenerator[NatsServer, None]:  # fmt: skip
    """Run a nats-server for the time of the block, started again when it ends by itself.

    When that happens too often, `give_up` is called with the reason. Raises what :meth:`NatsServer.open` raises.
    """
    async with (
        NatsServer.open(directory, fleet=fleet, binary=binary, guardian=guardian) as server,
        background() as tasks,
    ):
        tasks.start_soon(partial(keep_server, server, records=records, clock=clock, give_up=give_up))
        tasks.start_soon(partial(kill_if_stuck, server, records=records, clock=clock, stuck_after=stuck_after))
        tasks.start_soon(partial(end_if_frozen, server, records=records, clock=clock))
        yield server


async def keep_server(server: NatsServer, *, records: Records, clock: Clock, give_up: Callable[[str], None]) -> None:
    """Start `server` again whenever it has ended, a first time at once, until that is too often."""
    crashes: tuple[float, ...] = ()
    failed = ""
    while True:
        why = failed or f"nats-server ended with {await server.wait_exited()}"
        now, chance = clock.monotonic(), random.random()  # noqa: S311 - jitter
        decision = decide_restart("permanent", "crashed", crashes=crashes, intensity=INTENSITY, now=now, chance=chance)
        crashes = decision.crashes
        if decision.do == "hold":
            await records.add("server-held", "nats", why)
            give_up(f"{len(crashes)} failures of the nats-server within {INTENSITY.within:g} s, the last: {why}")
            return
        await records.add("server-exited", "nats", f"{why}: starting it again", {"delay": decision.delay})
        await clock.sleep(decision.delay)
        failed = await _restart(server)


async def _restart(server: NatsServer) -> str:
    """Return nothing, or why it could not be started."""
    try:
        await server.restart()
    except CallboardError as error:
        return f"it did not start: {error.text}"
    return ""
