"""What cells say of themselves, taken in by the daemon: each is believed for its own latest life only."""

from collections.abc import Mapping
from typing import Final

import msgspec

from callboard.actors import Letter
from callboard.bus import NoSuchActor, encode

from .charge import Charge
from .directory import Directory
from .messages import CellReady, CellUp, Confine, Done, Escalated, Kept, Left, Serves, Settled, Wedged
from .plan import Started
from .records import Records

_letter: Final = msgspec.msgpack.Decoder(Letter)
_letters: Final = msgspec.msgpack.Decoder(list[Letter])


class Liaison:
    """For the cells in `charges`. Each method raises NoSuchActor where an older life, or nobody of ours, speaks."""

    def __init__(self, charges: Mapping[str, Charge], directory: Directory, *, records: Records) -> None:
        self._charges, self._directory, self._records = charges, directory, records

    async def hand_over(self, request: CellUp) -> Kept:
        """Give a new incarnation what was kept for one of its actors."""
        charge = self._current(request.cell, request.epoch)
        letters, more = await charge.page(request.actor, begin=request.begin)
        return Kept(letters=encode(letters), more=more)

    async def cell_ready(self, message: CellReady) -> None:
        """Take note that a cell serves."""
        await self._current(message.cell, message.epoch).serves()

    async def cell_serves(self, message: Serves) -> None:
        """Take note that a cell has handled its first message."""
        self._current(message.cell, message.epoch).serves_again(message.actor)

    def take_back(self, message: Left) -> Done:
        """Keep what a cell that stops with its group did not come to."""
        charge = self._current(message.cell, message.epoch)
        charge.take_back(message.actor, _letters.decode(message.letters))
        return Done()

    def cell_settled(self, message: Settled) -> None:
        """Take note that each actor of a cell has started, or is held."""
        self._current(message.cell, message.epoch).tell(Started(message.cell))

    def cell_escalated(self, message: Escalated) -> None:
        """Take note why a cell is about to end itself."""
        life = self._current(message.cell, message.epoch).life
        if life is not None:
            life.given_up = message.why

    def condemn(self, message: Wedged) -> None:
        """End a process whose handler cannot be stopped."""
        life = self._current(message.cell, message.epoch).life
        if life is not None:
            life.condemn("stalled", message.why, stack=message.stack)

    async def confine(self, message: Confine) -> None:
        """Quarantine a message that failed too often."""
        self._current(message.cell, message.epoch)
        if not message.history or not self._directory.lives(message.actor, message.cell):
            raise NoSuchActor(f"{message.actor[:80]!r} does not live in cell {message.cell!r}", cell=message.cell)
        letter = _letter.decode(message.letter)
        await self._records.confine(message.actor, letter, message.digest, message.history, "failed")

    def _current(self, cell: str, epoch: int) -> Charge:
        charge = self._charges.get(cell)
        if charge is None or charge.epoch != epoch:
            raise NoSuchActor(f"cell {cell!r} of epoch {epoch} is not the one that runs", cell=cell, epoch=epoch)
        return charge
