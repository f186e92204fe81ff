"""How a daemon comes to its bus, and lets its cells in: at a server of its own, or at an outside one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from callboard.background import background
from callboard.bus import Connection, ConnectOptions, Credentials, NatsServer, connect
from callboard.clock import Clock
from callboard.guardian import Guardian

from .access import Access, access_outside, access_to, signing_key
from .border import Border, End, Put
from .config import FleetConfig
from .records import Records
from .upkeep import open_server
from .warden import Own, Shared, Signed, Warden

RENEWALS: Final = 5
"""More than a cell's, which can be replaced: when the daemon gives its connection up, the whole fleet stops."""


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """An open bus."""

    access: Access
    """Of the owner, who may do everything."""
    warden: Warden
    guest: Credentials | None = None
    monitor: str = ""
    """Where an own server tells of itself."""

    def options(self, name: str) -> ConnectOptions:
        """Return how the daemon itself connects."""
        return renewed(self.access.options(name))


def renewed(options: ConnectOptions) -> ConnectOptions:
    """Return options of a connection that a daemon cannot do without."""
    return msgspec.structs.replace(options, renewals=RENEWALS)


@asynccontextmanager
async def open_gate(
    config: FleetConfig, folder: Path, *, guardian: Guardian, binary: Path | None, records: Records, clock: Clock,
    give_up: Callable[[str], None], end: End, report: Put,
) -> AsyncIterator[Gate]:  # fmt: skip
    """Have a bus for the time of the block, with a server of the fleet's own in `folder` if it names none.

    Args:
        config: the fleet.
        folder: of the fleet's state.
        guardian: ends the server if this process is killed.
        binary: the nats-server to run.
        records: where events go.
        clock: of what waits.
        give_up: called when the server ends too often.
        end: called with a user's public key, the verdict and the reason when a life of a cell is to end.
        report: takes an event.

    """
    if config.bus.url:
        access = access_outside(config)
        yield Gate(access=access, warden=_outside(config, access))
        return
    async with AsyncExitStack() as stack:
        opened = open_server(
            folder / "nats", fleet=config.name, binary=binary, guardian=guardian, records=records, clock=clock,
            give_up=give_up,
        )  # fmt: skip
        server = await stack.enter_async_context(opened)
        watched = _watched(server, config.name, clock=clock, end=end, report=report, give_up=give_up)
        warden = await stack.enter_async_context(watched)
        yield Gate(access=access_to(server), warden=warden, guest=server.realm.guest, monitor=server.monitor_url)


def _outside(config: FleetConfig, access: Access) -> Warden:
    if not config.bus.signing_key_file:
        return Shared(access)
    return Signed(access, signing_key(config), fleet=config.name, account=config.bus.account)


@asynccontextmanager
async def _watched(
    server: NatsServer, fleet: str, *, clock: Clock, end: End, report: Put, give_up: Callable[[str], None]
) -> AsyncIterator[Warden]:
    """Let cells in at a server for the time of the block, and look at what it refuses them."""
    options = renewed(server.options(server.realm.warden, name=f"{fleet}/warden"))
    async with connect(options) as system, background() as tasks:
        warden = Own(server, system, fleet=fleet, clock=clock, report=report)
        tasks.start_soon(warden.run)
        tasks.start_soon(_watch, system, give_up)
        tasks.start_soon(Border(server, name_of=warden.cell_of, end=end, report=report, clock=clock).run)
        yield warden


async def _watch(system: Connection, give_up: Callable[[str], None]) -> None:
    give_up(f"the daemon's connection to the server's system account ended: {await system.wait_closed()}")
