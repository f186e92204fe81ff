"""What the server refuses to cells and guests, seen from its log, told as events, and ended where it does not end.

A cell's own context refuses what a grant does not name before anything leaves it. So what the server has to refuse is a
fault of ours, or a process that does not go through the context: once is an event, again and again its end.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from callboard.bus import NatsServer, Refusal, refusals_in
from callboard.clock import Clock
from callboard.errors import Detail

LOOK_EVERY: Final = 0.5
TRESPASSES_MOST: Final = 50
"""Refusals within :data:`WITHIN` seconds after which a process is ended."""
WITHIN: Final = 10.0
GUESTS: Final = "guests"

Put = Callable[[str, str, str, Detail], None]


class Border:
    """Looks at the log of `server`; `name_of` says which cell a user is, `end` ends a life for a reason."""

    def __init__(
        self, server: NatsServer, *, name_of: Callable[[str], str], end: Callable[[str, str], None], report: Put,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._server, self._name_of, self._end, self._report, self._clock = server, name_of, end, report, clock
        self._counts: Counter[str] = Counter()
        self._since = clock.monotonic()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            for refusal in refusals_in(await self._server.read_log()):
                self._take(refusal)

    def _take(self, refusal: Refusal) -> None:
        now = self._clock.monotonic()
        if now - self._since > WITHIN:
            self._since = now
            self._counts.clear()
        cell = self._name_of(refusal.user)
        detail: Detail = {"code": refusal.verb, "sender": refusal.user, "what": refusal.what[:200]}
        self._report("refused-by-server", cell or GUESTS, f"it tried to {refusal.verb} {refusal.what}"[:300], detail)
        self._counts[refusal.user] += 1
        if cell and self._counts[refusal.user] == TRESPASSES_MOST:
            why = f"the server refused it {TRESPASSES_MOST} times in {WITHIN:g} s, the last time to"
            self._end(refusal.user, f"{why} {refusal.verb} {refusal.what}"[:400])
