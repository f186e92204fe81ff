"""The beat that a cell publishes once a second: how its loop is, and the rows of the actors that changed.

People see it, not the supervisor: whether a loop turns is read from mapped memory (docs/adr/0005-watching.md), which
also works while the bus is away. The daemon keeps the latest row of each actor, to show of a cell that does not answer.
"""

from collections.abc import Container, Mapping
from typing import Final

import msgspec

from callboard.actors import Host, Row
from callboard.bus import Bus, decode_body, encode, subjects
from callboard.errors import CallboardError

from .reserved import is_hidden

_Mark = tuple[str, int, int, int]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell says of itself once a second."""

    cell: str
    epoch: int
    lag: float
    """Seconds by which its latest round was late."""
    rows: list[Row]


ROWS_MOST: Final = 500
"""Rows in one message: 10,000 would not pass a server."""
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

    def say(self, hosts: Mapping[str, Host], busy: Container[str], *, lag: float) -> None:
        """Publish the rows that changed since the last beat, and of who is busy; one that cannot be sent is missed."""
        changed = [host for host in list(hosts.values()) if self._changed(host, busy)]
        if len(self._marks) > 2 * len(hosts) + 64:  # of children that have ended
            self._marks = {name: mark for name, mark in self._marks.items() if name in hosts}
        try:
            for begin in range(0, len(changed) or 1, ROWS_MOST):
                rows = [host.row() for host in changed[begin : begin + ROWS_MOST]]
                beat = Beat(cell=self._cell, epoch=self._epoch, lag=lag, rows=rows)
                self._bus.publish(self._subject, encode(beat))
        except CallboardError:
            self.missed += 1
            self._marks.clear()  # the next one says it all

    def _changed(self, host: Host, busy: Container[str]) -> bool:
        """Return whether there is something new to say; at 10,000 idle actors half a microsecond counts."""
        name, mark = host.name, (host.state, host.work.served, host.refused, len(host.mailbox))
        if self._marks.get(name) == mark and name not in busy:
            return False
        self._marks[name] = mark
        return not is_hidden(name)


def beat_in(data: bytes) -> Beat:
    """Return the beat in `data`; raises MessageRefused."""
    beat: Beat = decode_body(_beat, data)
    return beat
