"""Which spawned actor lives in which cell: each cell says who moves in and out, the daemon knows it of all.

Only the fleet file's actors have an address of their own at the server. Those that were spawned live behind their
cell's (see :mod:`.registry`), and who finds nobody at a name asks the daemon, which has heard of every spawn before
anybody could have been told of the name: the cell says it first, and what one connection says arrives in order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from callboard.clock import Clock

PAGE: Final = 5000
"""Names in one message: even of the longest ones so many pass a server."""
DOUBT_FOR: Final = 2.0
"""Seconds in which the cells answer a roll call; what nobody has named by then does not exist."""


class Movement(msgspec.Struct, frozen=True, array_like=True):
    """Who moved in and out of a cell; `whole`: before this there was nobody."""

    epoch: int
    here: Sequence[str] = ()
    gone: Sequence[str] = ()
    whole: bool = False


def pages_of(names: Sequence[str]) -> Iterator[list[str]]:
    """Return `names` in parts that pass as one message."""
    for begin in range(0, len(names), PAGE):
        yield list(names[begin : begin + PAGE])


class Census:
    """The daemon's side. Of each cell only its latest process is believed, and nothing once it is buried."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._homes: dict[str, str] = {}
        self._buried: dict[str, int] = {}
        self._doubt_until = 0.0

    def take(self, cell: str, movement: Movement) -> list[str]:
        """Take note of a movement; return the names that live in another cell too, whose latest claim now holds."""
        if movement.epoch <= self._buried.get(cell, -1):
            return []
        if movement.whole:
            self._forget(cell)
        for name in movement.gone:
            if self._homes.get(name) == cell:
                del self._homes[name]
        twice = [name for name in movement.here if self._homes.get(name, cell) != cell]
        self._homes.update(dict.fromkeys(movement.here, cell))
        return twice

    def _forget(self, cell: str) -> None:
        self._homes = {name: home for name, home in self._homes.items() if home != cell}

    def bury(self, cell: str, epoch: int, say: Callable[[list[str]], None]) -> None:
        """Have `say` called with pages of those who died with a process, and forget them; not if it raises."""
        for page in pages_of([name for name, home in self._homes.items() if home == cell]):
            say(page)
        self._buried[cell] = epoch
        self._forget(cell)

    def doubt(self) -> None:
        """Deny nobody for a while: words may have been lost, and the cells are being asked again."""
        self._doubt_until = self._clock.monotonic() + DOUBT_FOR

    def where(self, actor: str) -> str:
        """Return where a spawned actor is, as :func:`~.whereabouts.answer_where` wants it."""
        home = self._homes.get(actor)
        if home is not None:
            return f"in {home}"
        return "restarting" if self._clock.monotonic() < self._doubt_until else "unknown"
