"""Which spawned actor lives in which cell: each cell says who moves in and out, the daemon knows it of all.

Only the fleet file's actors have an address of their own at the server. Those that were spawned live behind their
cell's (see :mod:`.registry`), and who finds nobody at a name asks the daemon, which has heard of every spawn before
anybody could have been told of the name: the cell says it first, and what one connection says arrives in order.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from callboard.clock import Clock

PAGE: Final = 5000
"""Names in one message at most."""
_NAME: Final = 66
"""Bytes of the longest name, written down."""
_HEAD: Final = 2048
_IN: Final = "in "
DOUBT_FOR: Final = 2.0
"""Seconds in which the cells answer a roll call; what nobody has named by then does not exist."""


class Movement(msgspec.Struct, frozen=True, array_like=True):
    """Who moved in and out of a cell; `whole`: before this there was nobody; `more`: others of them follow."""

    epoch: int
    here: Sequence[str] = ()
    gone: Sequence[str] = ()
    whole: bool = False
    more: bool = False


def in_cell(cell: str) -> str:
    """Return what is said of an actor that is spoken to at its cell's address."""
    return f"{_IN}{cell}"


def home_in(where: str) -> str:
    """Return the cell that :func:`in_cell` named; empty if something else was said."""
    return where.removeprefix(_IN) if where.startswith(_IN) else ""


def pages_of(names: Sequence[str], *, max_payload: int) -> list[list[str]]:
    """Return `names` in parts that pass as one message of at most so many bytes."""
    most = max(1, min(PAGE, (max_payload - _HEAD) // _NAME))
    return [list(names[begin : begin + most]) for begin in range(0, len(names), most)]


class Census:
    """The daemon's side. Who gives it movements gives those of a cell's latest process; a buried one says nothing."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._homes: dict[str, str] = {}
        self._buried: dict[str, int] = {}
        self._doubt_until = 0.0
        self._contested: set[str] = set()

    def take(self, cell: str, movement: Movement) -> list[str]:
        """Take note of a movement; return the names that live in another cell too: the latest claim holds."""
        if movement.epoch <= self._buried.get(cell, -1):
            return []
        if movement.whole:
            self._forget(cell)
            if movement.more:
                self.doubt()
        for name in movement.gone:
            if self._homes.get(name) == cell:
                del self._homes[name]
        twice = [name for name in movement.here if self._homes.get(name, cell) != cell]
        self._contested.update(twice)
        self._homes.update(dict.fromkeys(movement.here, cell))
        return twice

    def _forget(self, cell: str) -> None:
        self._homes = {name: home for name, home in self._homes.items() if home != cell}

    def was_contested(self, movement: Movement) -> bool:
        """Return whether a name has gone that another cell had claimed too: that one is to be heard again."""
        gone = self._contested.intersection(movement.gone)
        self._contested -= gone
        return bool(gone)

    def of(self, cell: str) -> list[str]:
        """Return who lives in a cell."""
        return [name for name, home in self._homes.items() if home == cell]

    def bury(self, cell: str, epoch: int) -> None:
        """Forget all who lived in a process that has ended, and believe nothing more that it said."""
        self._buried[cell] = epoch
        self._forget(cell)

    def doubt(self) -> None:
        """Deny nobody for a while: words may have been lost, and the cells are being asked again."""
        self._doubt_until = self._clock.monotonic() + DOUBT_FOR

    def where(self, actor: str) -> str:
        """Return where a spawned actor is, as :func:`~.whereabouts.answer_where` wants it."""
        home = self._homes.get(actor)
        if home is not None:
            return in_cell(home)
        return "restarting" if self._clock.monotonic() < self._doubt_until else "unknown"
