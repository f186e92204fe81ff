"""Whether the fleet's own nats-server says anything: one that runs and is silent keeps everybody deaf for ever.

It is given as long as a lease is: a server that was paused for half a minute goes on, and nobody lost anything.
"""

from typing import Final

from callboard.bus import NatsServer
from callboard.clock import Clock

from .records import Records

STUCK_AFTER: Final = 45.0
_LATE: Final = 1.0


async def kill_if_stuck(
    server: NatsServer, *, records: Records, clock: Clock, stuck_after: float = STUCK_AFTER
) -> None:
    """Kill `server` whenever it has not answered for `stuck_after` seconds; who keeps it starts it again."""
    answered, pid = clock.monotonic(), server.pid
    while True:
        asked = clock.monotonic()
        await clock.sleep(stuck_after / 10)
        late = clock.monotonic() - asked - stuck_after / 10
        answered += late if late > _LATE else 0.0  # we ourselves did not run
        if server.pid != pid or not server.runs or await server.answers():  # a new one has its time to begin
            answered, pid = clock.monotonic(), server.pid
        elif (silent := clock.monotonic() - answered) > stuck_after:
            text = f"process {server.pid} has answered nobody for {silent:.0f} s: killed"
            await records.add("server-stuck", "nats", text, {"pid": server.pid})
            server.kill()
            answered = clock.monotonic()
