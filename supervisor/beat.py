"""The beat that a cell publishes once a second: how its loop is, and the rows of the actors that changed.

People see it, not the supervisor: whether a loop turns is read from mapped memory (docs/adr/0005-watching.md), which
also works while the bus is away. The daemon keeps the latest row of each actor, to show of a cell that does not answer.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from callboard.actors import Host, Row
from callboard.bus import Bus, decode_body, encode, subjects
from callboard.errors import CallboardError

from .reserved import is_reserved

_Mark = tuple[str, int, int, int, int]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell says of itself once a second."""

    cell: str
    epoch: int
    lag: float
    """Seconds by which its latest round was late."""
    rows: list[Row]


_beat: Final = msgspec.msgpack.Decoder(Beat)


class Beats:
    """The publishing side, for one cell."""

    def __init__(self, bus: Bus, *, fleet: str, cell: str, epoch: int) -> None:
        self._bus, self._cell, self._epoch = bus, cell, epoch
        self._subject = subjects.system(fleet, "beat", sender=cell)
        self._marks: dict[str, _Mark] = {}
        self.missed = 0

    @property
    def all_sent(self) -> bool:
        """Whether nothing waits to be written to the bus."""
        return self._bus.statistics().pending_bytes == 0

    def say(self, hosts: Mapping[str, Host], *, lag: float) -> None:
        """Publish the rows that changed since the last beat; a beat that cannot be sent is not missed."""
        changed = [host for host in list(hosts.values()) if self._changed(host)]
        if len(self._marks) > 2 * len(hosts) + 64:  # of children that have ended
            self._marks = {name: mark for name, mark in self._marks.items() if name in hosts}
        beat = Beat(cell=self._cell, epoch=self._epoch, lag=lag, rows=[host.row() for host in changed])
        try:
            self._bus.publish(self._subject, encode(beat))
        except CallboardError:
            self.missed += 1
            self._marks.clear()  # the next one says it all

    def _changed(self, host: Host) -> bool:
        """Return whether there is something new to say; at 10,000 idle actors half a microsecond counts."""
        mark = (host.state, host.work.served, host.refused, len(host.mailbox), len(host.work.hands()))
        if (self._marks.get(host.name) == mark and not host.work.hands()) or is_reserved(host.name):
            return False
        self._marks[host.name] = mark
        return True


def beat_in(data: bytes) -> Beat:
    """Return the beat in `data`; raises MessageRefused."""
    beat: Beat = decode_body(_beat, data)
    return beat
