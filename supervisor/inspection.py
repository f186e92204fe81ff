"""``callboard inspect ACTOR``: what a living actor has in hand and what its file knows, as its own cell says."""

import msgspec

from callboard.actors import Host, Message, Row
from callboard.store import ActorFile
from callboard.store import TakenStep as TakenStep


class Inspect(Message):
    """``callboard inspect ACTOR``; asked of the daemon, and by it of the actor's cell."""

    actor: str


class HeldTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was taken from the queue and is not settled."""

    id: str
    kind: str
    """The message's type."""
    key: str
    tries: int
    """Which try of it this is."""
    seconds: float
    """For how long it is in hand; 0.0: it waits."""
    doing: str = ""


class Inspected(Message):
    """All of it."""

    row: Row
    held: list[HeldTask]
    steps: list[TakenStep]
    leaving: int
    """Messages of done tasks that have not left."""
    queued: int
    """Tasks that are stored and not done, also those held."""


async def inspect(host: Host, file: ActorFile, *, queued: int) -> Inspected:
    """Return what there is to see of one actor; raises StoreError."""
    log = file.tasks
    return Inspected(
        row=host.row(), held=_held(host), steps=await log.taken(), leaving=await log.leaving(), queued=queued
    )


def _held(host: Host) -> list[HeldTask]:
    if host.tasks is None:
        return []
    now, hands = host.clock.monotonic(), host.work.hands()
    found: list[HeldTask] = []
    for task, letter in host.tasks.intake.held.items():
        hand = hands.get(task)
        seconds, doing = (now - hand.since, hand.activity()) if hand is not None else (0.0, "")
        envelope = letter.envelope
        found.append(
            HeldTask(
                id=task,
                kind=envelope.type,
                key=envelope.key,
                tries=letter.tries,
                seconds=round(seconds, 3),
                doing=doing,
            )
        )
    return found
