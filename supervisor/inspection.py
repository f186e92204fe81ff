"""``callboard inspect ACTOR``: what a living actor has in hand and what its file knows, as its own cell says."""

import msgspec

from callboard.actors import Host, Message, Row
from callboard.store import ActorFile


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


class TakenStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a task that is not done."""

    task: str
    name: str
    act: bool
    settled: bool
    """Whether its result is kept; an act that is not settled may have been done."""
    bytes: int
    at: float
    """Unix seconds."""


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
    steps = [
        TakenStep(
            task=task, name=name, act=step.act, settled=step.result is not None, bytes=len(step.result or b""), at=at
        )
        for task, name, step, at in await file.tasks.steps()
    ]
    return Inspected(
        row=host.row(), held=_held(host), steps=steps, leaving=len(await file.tasks.outbox()), queued=queued
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
