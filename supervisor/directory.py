"""What the daemon knows of where actors are and how they are, from what their cells say of themselves."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from callboard.bus import Census, Endpoint, MessageRefused, Movement, answer_where, decode_body, home_in, subjects
from callboard.clock import Clock

from .beat import beat_in
from .charge import Charge
from .reserved import keeper_of

NAMED_MOST: Final = 20
_movement: Final = msgspec.msgpack.Decoder(Movement)
_STATES: Final = {"up": "up", "held": "held", "ended": "unknown"}

Report = Callable[[str, str, str], None]


class Directory:
    """For the cells in `charges`; `report` takes an event."""

    def __init__(self, charges: Mapping[str, Charge], *, clock: Clock, report: Report) -> None:
        self._charges, self._report = charges, report
        self.census = Census(clock=clock)
        self._endpoint: Endpoint

    async def open(self, endpoint: Endpoint) -> None:
        """Hear what cells say, and answer who asks where an actor is, until `endpoint` ends."""
        self._endpoint = endpoint
        await endpoint.hear("movement", self._on_movement)
        await endpoint.hear("beat", self._on_beat)
        await answer_where(endpoint, self.where)

    def where(self, actor: str) -> str:
        """Return how it stands with an actor's address: up, restarting, held, unknown, or in which cell it is."""
        for charge in self._charges.values():
            if actor in charge.understudies:
                return _STATES.get(charge.state, "restarting")
        return "up" if actor in ("supervisor", *map(keeper_of, self._charges)) else self.census.where(actor)

    def lives(self, actor: str, cell: str) -> bool:
        """Return whether an actor lives in a cell: by the fleet file, or spawned there."""
        named = (charge.name for charge in self._charges.values() if actor in charge.understudies)
        return next(named, home_in(self.census.where(actor))) == cell

    def ask_again(self) -> None:
        """Ask all cells who lives there, since some of it may not have been heard."""
        self.census.doubt()
        self._endpoint.bus.publish(subjects.system(self._endpoint.fleet, "census", sender="daemon"), b"")

    def _on_movement(self, subject: str, data: bytes, _reply: str) -> None:
        cell = subjects.parse(subject).cell
        try:
            movement: Movement = decode_body(_movement, data)
        except MessageRefused:
            return  # no cell of ours has said that
        charge = self._charges.get(cell)
        if charge is None or charge.epoch != movement.epoch:
            return  # nor has its latest process
        if twice := self.census.take(cell, movement):
            names = ", ".join(twice[:NAMED_MOST])
            self._report("name-taken-twice", cell, f"spawned here and in another cell, which is not heard: {names}")
        if self.census.was_contested(movement):
            self.ask_again()

    def _on_beat(self, subject: str, data: bytes, _reply: str) -> None:
        try:
            beat = beat_in(data)
        except MessageRefused:
            return  # nobody's life hangs on it
        charge = self._charges.get(beat.cell) if subjects.parse(subject).cell == beat.cell else None
        if charge is not None and charge.epoch == beat.epoch:
            charge.rows.update({row.actor: row for row in beat.rows if row.actor in charge.understudies})
