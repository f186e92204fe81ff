"""How an actor is to be run: what the fleet file, or a call in Python, says of it."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec

from callboard.bus import ANYONE, QUEUE_MOST
from callboard.store import Retention

from .actor import Actor
from .grant import Grant
from .mailbox import MOST
from .retry import TRIES
from .turnstile import DoorLimits

Restart = Literal["permanent", "transient", "temporary"]
RESTARTS: Final[tuple[Restart, ...]] = ("permanent", "transient", "temporary")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class Health(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits, in seconds where not said otherwise. In one cell the most patient of its actors' hold."""

    start_within: Seconds = 30.0
    """Time for ``started``; beyond it the start has failed."""
    silent_after: Seconds = 3.0
    """Time without a beat before a cell counts as silent."""
    stalled_after: Seconds = 60.0
    """Time in hand without progress before a handler counts as stalled."""
    drain_for: Seconds = 10.0
    """Time to finish what is in hand when asked to stop."""
    memory_mib: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 0
    """Line for the memory of its cell's process in MiB; above it the cell is drained and started again. 0: none."""


class Intensity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often an actor may crash: `most` times `within` seconds; once more and it is held."""

    most: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    within: Seconds = 30.0


class ActorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One actor of a fleet."""

    actor: type[Actor]
    name: str
    cell: str
    replicas: int = 1
    open: bool = False
    door: DoorLimits = DoorLimits()
    """What outsiders may say at its front door, if it is open."""
    private: bool = False
    """Whether it holds what must not leave the fleet: ``callboard check`` warns where that could happen."""
    restart: Restart = "permanent"
    intensity: Intensity = Intensity()
    health: Health = Health()
    may: Grant = Grant()
    options: Any = None
    mailbox: int = MOST
    """Messages the mailbox takes before it refuses."""

    tries: int = TRIES
    """How often a task is tried before it goes to the quarantine."""
    queue: int = QUEUE_MOST
    """Tasks that may wait for it before more are refused."""
    keep: Retention = Retention()
    """What it remembers for long."""
    topics: tuple[str, ...] | None = None
    """Its durable topics, where its class is not at hand."""
    hears: tuple[str, ...] | None = None
    """All topics that it or one whom it may spawn hears, where its class is not at hand."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Its durable topics."""
        return self.actor.table.kept if self.topics is None else self.topics

    @property
    def heard(self) -> tuple[str, ...]:
        """All topics that it hears, or one whom it may spawn; ``*`` if it may spawn any class."""
        if self.hears is not None:
            return self.hears
        spawned = [kind for kind in _kinds(Actor) if kind.name in self.may.names("spawn")]
        topics = {topic for kind in (self.actor, *spawned) for topic in kind.table.topics}
        return (ANYONE,) if ANYONE in self.may.names("spawn") else tuple(sorted(topics))

    @property
    def alone(self) -> bool:
        """Whether one loop alone takes from the mailbox: then what came together is worked through together."""
        return self.replicas == 1 and self.actor.concurrency == 1


def _kinds(of: type[Actor]) -> Iterator[type[Actor]]:
    """Yield all actor classes that are loaded."""
    for kind in of.__subclasses__():
        yield kind
        yield from _kinds(kind)


def spec_of(actor: type[Actor], *, cell: str = "main") -> ActorSpec:
    """Return the spec of an actor used as its class says, with its options at their defaults."""
    return ActorSpec(actor=actor, name=actor.name, cell=cell, may=actor.may, options=actor.Options())
