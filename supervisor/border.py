"""What the server knows of cells and guests that nobody else tells: what it has refused them, and how much they say.

A cell's own context refuses what a grant does not name before anything leaves it, and waits for credit before it sends.
So what the server has to refuse, or can hardly carry, is a fault of ours, or a process that goes around the context:
once is an event, again and again its end.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from callboard.bus import NatsServer, Refusal, Traffic, refusals_in
from callboard.clock import Clock
from callboard.errors import Detail

LOOK_EVERY: Final = 0.5
TRESPASSES_MOST: Final = 50
"""Refusals within :data:`WITHIN` seconds after which a process is ended."""
WITHIN: Final = 10.0
FLOOD: Final = 200_000
"""Messages a second that no cell sends for long. Told messages travel in company; events go one by one, and a loop that
does nothing else publishes 350,000 a second (measured)."""
FLOOD_LOOKS: Final = 6
"""Looks over which it must be that many on average: 600,000 in three seconds are no burst."""
CONNECTIONS_MOST: Final = 4
"""Connections of one cell: one, and those that the server has not yet missed."""
GUESTS: Final = "guests"

Put = Callable[[str, str, str, Detail], None]
End = Callable[[str, str, str], None]
"""Ends who is known by a public key: with a verdict, and why."""


class Border:
    """Looks at `server`; `name_of` says which cell a user is, empty if it is none."""

    def __init__(
        self, server: NatsServer, *, name_of: Callable[[str], str], end: End, report: Put, clock: Clock
    ) -> None:
        self._server, self._name_of, self._end, self._report, self._clock = server, name_of, end, report, clock
        self._trespasses: Counter[str] = Counter()
        self._since = clock.monotonic()
        self._looks: deque[tuple[float, Mapping[str, Traffic]]] = deque(maxlen=FLOOD_LOOKS + 1)
        self._at = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        looked = self._clock.monotonic()
        while True:
            await self._clock.sleep(LOOK_EVERY)
            for refusal in refusals_in(await self._server.read_log()):
                self.take(refusal)
            found = await self._server.traffic()
            if found is not None:  # a flood is what makes a server late
                before, looked = looked, self._clock.monotonic()
                self.measure(found, seconds=looked - before)

    def take(self, refusal: Refusal) -> None:
        """Take note of what the server has refused to somebody."""
        now, user = self._clock.monotonic(), refusal.user
        if now - self._since > WITHIN:
            self._since = now
            self._trespasses.clear()
        cell, told = self._name_of(user), f"{refusal.verb} {refusal.what}"[:300]
        detail: Detail = {"code": refusal.verb, "sender": user, "what": refusal.what[:200]}
        self._report("refused-by-server", cell or GUESTS, f"it tried to {told}", detail)
        self._trespasses[user] += 1
        if cell and self._trespasses[user] == TRESPASSES_MOST:
            why = f"the server refused it {TRESPASSES_MOST} times in {WITHIN:g} s, the last time to {told}"
            self._end(user, "trespassing", why)

    def measure(self, found: Mapping[str, Traffic], *, seconds: float) -> None:
        """Take note of what each user has done so far, `seconds` after the last time."""
        self._at += seconds
        self._looks.append((self._at, found))
        began, before = self._looks[0]
        for user, now in found.items():
            if not self._name_of(user):
                continue
            rate = (now.sent - before.get(user, now).sent) / max(self._at - began, LOOK_EVERY)
            if now.connections > CONNECTIONS_MOST:
                self._end(user, "trespassing", f"it holds {now.connections} connections; a cell has one")
            elif rate > FLOOD and len(self._looks) > FLOOD_LOOKS:
                self._end(user, "flooding", f"it sends {rate:,.0f} messages a second; {FLOOD:,} is more than it needs")
