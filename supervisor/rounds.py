"""A cell's own rounds, ten times a second on its loop: the beat, what is overdue, and what comes no further.

The rounds are on the loop that they beat for, so they cannot beat while it is blocked. They also know when they were
late: then the whole process did not run, and the time that passed counts against none of its handlers.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import anyio

from callboard.actors import Flight, Host, InHand, Work

from .beat import Beats
from .reserved import is_hidden

EVERY: Final = 0.1
"""Seconds between two rounds; at 10,000 idle actors one takes half a millisecond."""
_STALLS_EVERY: Final = 5
"""Rounds between two looks for stalled handlers."""
_BEATS_EVERY: Final = 10
"""Rounds between two beats for people."""
_LATE: Final = 0.5
"""Seconds by which a round may be late before the time is forgiven."""

Wedged = Callable[[Host, InHand], None]
"""Told of a handler that goes on though it was cancelled; called again at each look until it has ended."""

Served = Callable[[str], None]
"""Told once the name of an actor that has handled a message."""


class Rounds:
    """The rounds of one cell."""

    def __init__(
        self, hosts: Mapping[str, Host], busy: Mapping[str, Work], flight: Flight, beats: Beats, *,
        wedged: Wedged, served: Served, look: Callable[[], None],
    ) -> None:  # fmt: skip
        self._hosts, self._busy, self._flight, self._beats = hosts, busy, flight, beats
        self._wedged, self._served = wedged, served
        self._others_look = look
        self._serves = False
        self.lag = 0.0
        """By how many seconds the latest round was late."""

    async def run(self) -> None:
        """Go round until cancelled."""
        number, last = 0, time.monotonic()
        while True:
            await anyio.sleep(EVERY)  # only the rhythm of looking; what is overdue, the hosts' own clock says
            now = time.monotonic()
            self.lag, last = max(0.0, now - last - EVERY), now
            self._flight.beat(now)
            if self._beats.all_sent:  # else replies still lie in the connection's buffer
                self._flight.sweep()
            number += 1
            self._look(stalls=number % _STALLS_EVERY == 0)
            self._others_look()
            if number % _BEATS_EVERY == 0:
                self._beats.say(self._hosts, self._busy, lag=self.lag)
            if not self._serves and (actor := self._who_served()):
                self._serves = True
                self._served(actor)

    def _who_served(self) -> str:
        """Return an actor that has handled a message; the runtime's own do not count."""
        return next((host.name for host in self._hosts.values() if host.handled and not is_hidden(host.name)), "")

    def _look(self, *, stalls: bool) -> None:
        for name, work in list(self._busy.items()):
            if self.lag > _LATE:
                work.allow(self.lag)
            work.end_overdue()
            for hand in work.end_stalled() if stalls else ():
                if (host := self._hosts.get(name)) is not None:
                    self._wedged(host, hand)
