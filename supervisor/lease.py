"""One daemon for a fleet on one NATS, wherever their state directories are.

On a server of its own a daemon needs no lease, because the state directory has one owner: it only answers who asks. On
an outside server it holds a lease. One that cannot renew it stops the fleet before another may start it; where the
server keeps no leases, it can only be found out who answers.
"""

import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from callboard.background import background
from callboard.bus import Connection, Holder, Lease, LeaseHeld, NoLeases, RollCall
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.ids import new_id

from .errors import DaemonRuns
from .records import Records
from .state import StateDirectory, write_private

ANSWERS_WITHIN: Final = 0.3
"""Seconds for others to answer, where a lease decides and asking only finds who has a server of its own."""
ANSWERS_ALONE_WITHIN: Final = 1.0
"""The same where nothing else decides."""
_LEAST: Final = 0.1
_TOLD_WITHIN: Final = 1.0
"""Seconds in which the loss is recorded before anything is done about it."""

KILL_WITH_LEFT: Final = 4.0
"""Seconds before another may begin at which the daemon kills what has not ended."""
GUARD_WITH_LEFT: Final = 2.5
"""The same for the guardian, which ends a daemon that is stopped itself: its cells then need up to 2.2 s."""

Lost = Callable[[str, float], Awaitable[None]]
"""Called with why a lease is lost, and with the seconds after which what still runs is to be killed."""
Expect = Callable[[float], None]
"""Told for how many seconds from now this daemon may live without saying so again; 0: for ever."""


class Terms(msgspec.Struct, frozen=True):
    """When to do what about a lease of `ttl` seconds."""

    ttl: float

    @property
    def renew_every(self) -> float:
        """Twelve tries before it ends."""
        return self.ttl / 12

    @property
    def margin(self) -> float:
        """Left when the fleet begins to stop, for what is in hand and for the end."""
        return max(self.ttl / 4, KILL_WITH_LEFT + 1.0)


@asynccontextmanager
async def hold_lease(
    bus: Connection, state: StateDirectory, *, outside: bool, records: Records, clock: Clock, lost: Lost, expect: Expect
) -> AsyncGenerator[None]:
    """Be the only daemon of the fleet for the time of the block; raise :class:`DaemonRuns` if another is."""
    owner = await anyio.to_thread.run_sync(owner_of, state.path / "owner")
    me = Holder(owner=owner, host=socket.gethostname(), pid=os.getpid(), state="wants" if outside else "holds")
    try:
        async with RollCall.open(bus, state.fleet, me) as call:
            if not outside:
                yield
                return
            lease = await _take(bus, state.fleet, me, call, records=records, clock=clock)
            if lease is None:
                yield
                return
            try:
                async with background() as tasks:
                    tasks.start_soon(_keep, lease, state.fleet, records, clock, lost, expect)
                    yield
            finally:
                expect(0.0)
                with anyio.CancelScope(shield=True):  # bounded by its own deadline
                    await lease.release()
    except LeaseHeld as error:
        raise DaemonRuns(f"a daemon for fleet {state.fleet!r} already runs on this NATS: {error.text}") from error


async def _take(
    bus: Connection, fleet: str, me: Holder, call: RollCall, *, records: Records, clock: Clock
) -> Lease | None:
    try:
        lease = await Lease.take(bus, fleet, msgspec.structs.replace(me, state="holds"), clock=clock)
    except NoLeases as error:
        await call.claim(within=ANSWERS_ALONE_WITHIN)
        text = f"no other daemon answered; one that is stopped or cut off would not have been found: {error.text}"
        await records.add("lease-by-asking", fleet, text)
        return None
    try:
        await call.claim(within=ANSWERS_WITHIN)
    except LeaseHeld:
        await lease.release()
        raise
    text = f"held in JetStream for {lease.ttl:g} s at a time; the fleet stops when it cannot be renewed"
    await records.add("lease-taken", fleet, text, {"ttl": lease.ttl})
    return lease


async def _keep(lease: Lease, fleet: str, records: Records, clock: Clock, lost: Lost, expect: Expect) -> None:
    """Renew it again and again; say so once when that is over."""
    terms, why = Terms(lease.ttl), ""
    while not why:
        expect(max(lease.left - GUARD_WITH_LEFT, _LEAST))
        await clock.sleep(min(terms.renew_every, max(0.0, lease.left - terms.margin)))
        why = await _try(lease, terms)
    expect(max(lease.left - GUARD_WITH_LEFT, _LEAST))
    with anyio.move_on_after(_TOLD_WITHIN):  # a disk that hangs must not keep the fleet running
        await records.add("lease-lost", fleet, why, {"left": round(lease.left, 3)})
    await lost(why, max(0.0, lease.left - KILL_WITH_LEFT))


async def _try(lease: Lease, terms: Terms) -> str:
    """Renew it; return why it is lost, if it is."""
    failed = "JetStream did not answer"
    try:
        with anyio.move_on_after(max(lease.left - terms.margin, _LEAST)):
            await lease.renew()
    except LeaseHeld as error:
        return f"the lease is another's: {error.text}"
    except CallboardError as error:
        failed = error.text
    return f"the lease could not be renewed: {failed}" if lease.left <= terms.margin else ""


def owner_of(file: Path) -> str:
    """Return the name under which this state directory holds leases, made once; blocks on the disk."""
    if file.exists():
        return file.read_text(encoding="ascii").strip()
    owner = new_id()
    write_private(file, owner.encode())
    return owner
