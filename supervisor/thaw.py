"""Whether the fleet's own nats-server can store: one whose disk refused a write is frozen until it is started anew.

It stores nothing more, also when the disk has room again. So it is ended, as often as it takes, and who keeps it starts
it again: nothing that it has acknowledged is lost by that. A disk that hangs holds even a killed process, which then
ends when the disk goes on.
"""

from typing import Final

from callboard.bus import NatsServer
from callboard.clock import Clock

from .records import Records

LOOK_EVERY: Final = 2.0
THAW_EVERY: Final = 15.0
"""Seconds between two attempts: fewer than are counted as a server that ends by itself too often."""


async def end_if_frozen(server: NatsServer, *, records: Records, clock: Clock) -> None:
    """End the process of `server` whenever it can store no more; who keeps it starts it again."""
    while True:
        await clock.sleep(LOOK_EVERY)
        pid = server.pid
        if server.runs and (fault := await server.fault()):
            text = f"nothing can be enqueued, see to its disk; it is started anew every {THAW_EVERY:g} s: {fault}"
            await records.add("server-frozen", "nats", text, {"pid": pid})
            if not await server.end(pid):
                text = f"process {pid} outlives even SIGKILL, so its disk hangs: it is started anew when it has ended"
                await records.add("server-undead", "nats", text, {"pid": pid})
            await clock.sleep(THAW_EVERY)
