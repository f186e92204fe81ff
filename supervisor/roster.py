"""Who lives in a cell and how well: as the cell says, or if it does not answer, as it was seen last."""

from typing import Final

import msgspec

from callboard.actors import ActorSpec, Row, Speaker, State
from callboard.clock import Clock
from callboard.errors import CallboardError

from .charge import Charge
from .messages import ActorHealth, ActorRow, ListRows, Rows
from .records import Records
from .reserved import keeper_of

EVENTS_SHOWN: Final = 12
ROW_WITHIN: Final = 0.5
"""Seconds for a cell to answer: people wait."""


async def rows_of(charge: Charge, voice: Speaker, *, clock: Clock) -> list[ActorRow]:
    """Return a row for each actor of a cell."""
    found = [_absent(spec, charge) for spec in charge.specs]
    if charge.state == "up":
        try:
            reply = await voice.ask(keeper_of(charge.name), ListRows(), timeout=ROW_WITHIN, reply=Rows)
            found = reply.rows
        except CallboardError:
            found = [msgspec.structs.replace(charge.rows.get(row.actor, row), state="silent") for row in found]
    up_for = clock.monotonic() - charge.started_at
    return [
        ActorRow(**{**msgspec.structs.asdict(row), "restarts": row.restarts + charge.restarts},
                 cell=charge.name, pid=charge.pid, up_for=up_for)
        for row in found
    ]  # fmt: skip


async def health_of(
    actor: str, charge: Charge, voice: Speaker, *, records: Records, clock: Clock, crashes: int
) -> ActorHealth:
    """Return all that is known of how an actor is."""
    rows = await rows_of(charge, voice, clock=clock)
    events = [*await records.about(actor), *await records.about(charge.name)]
    return ActorHealth(
        row=next(row for row in rows if row.actor == actor),
        limits=next(spec.health for spec in charge.specs if spec.name == actor),
        signs=charge.life.signs if charge.life else None, crashes=crashes, most=charge.intensity.most,
        events=sorted({event.seq: event for event in events}.values(), key=lambda event: event.seq)[-EVENTS_SHOWN:],
    )  # fmt: skip


def _absent(spec: ActorSpec, charge: Charge) -> Row:
    state: State = "held" if charge.state == "held" else "starting" if charge.state == "starting" else "restarting"
    depth = len(charge.understudies[spec.name].mailbox)
    return Row(
        actor=spec.name, state=state, depth=depth, in_hand=[], in_hand_for=0.0, handled=0, failed=0, refused=0,
        restarts=0,
    )  # fmt: skip
