"""What a cell may say and hear at the server, as patterns of subjects. Pure.

Nothing is listed that the cell's own actors do not need, and every subject that others could believe ends in the cell's
name. What is not listed is refused by the server itself, whatever the process is made to say.
"""

import msgspec

from . import subjects
from .claims import Permissions
from .event_queue import events_stream
from .work_queue import stream_of

ANYONE = "*"
_SAID = ("beat", "movement", "notice", "where")
_HEARD = ("notice", "census")
_REPLIES = ("_CB.*.r", "_CB.*.n.*", "_INBOX.>")
"""Addresses for replies: unguessable, and none at which anybody takes orders. The last is of other clients."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What the actors of one cell need; a name may be :data:`ANYONE`."""

    actors: tuple[str, ...] = ()
    """Who lives there, the runtime's own included."""
    open: tuple[str, ...] = ()
    """Those with a front door."""
    kept: tuple[str, ...] = ()
    """Those with durable topics."""
    queues: tuple[str, ...] = ()
    """Those whose queue they take from."""
    tell: tuple[str, ...] = ()
    """Actors that they speak to."""
    enqueue: tuple[str, ...] = ()
    """Actors for which they store tasks."""
    publish: tuple[str, ...] = ()
    """Topics that they publish on."""
    hear: tuple[str, ...] = ()
    """Topics that they hear."""


def permissions_of(fleet: str, cell: str, reach: Reach, *, inbox: str) -> Permissions:
    """Return what the user of a cell may do.

    Args:
        fleet: its name.
        cell: the cell's name, which each of its subjects ends in.
        reach: what its actors need.
        inbox: the one address under which it hears replies.

    """
    return Permissions(
        publish=(*_spoken(fleet, cell, reach), *_stored(fleet, cell, reach), *_REPLIES, f"{inbox}.>"),
        subscribe=(*_listened(fleet, cell, reach), f"{inbox}.>"),
    )


def _spoken(fleet: str, cell: str, reach: Reach) -> list[str]:
    mailboxes = [subjects.mailbox(fleet, actor, sender=cell) for actor in reach.tell]
    lodgings = [subjects.lodging(fleet, subjects.ANY, actor=actor, sender=cell) for actor in reach.tell]
    events = [subjects.topic(fleet, topic, sender=cell) for topic in reach.publish]
    return [*mailboxes, *lodgings, *events, *(subjects.system(fleet, what, sender=cell) for what in _SAID)]


def _stored(fleet: str, cell: str, reach: Reach) -> list[str]:
    """Return the subjects of durable work: to store it, to take one's own, to settle it, and to see how much waits."""
    tasks = [subjects.work_of(fleet, actor, sender=cell) for actor in reach.enqueue]
    tasks += [subjects.work(fleet, actor, lane=subjects.DOOR, sender=cell) for actor in reach.open]
    streams = [(stream_of(fleet, actor), "*") for actor in reach.queues]
    streams += [(events_stream(fleet), actor) for actor in reach.kept]
    takes = [f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{feed}" for stream, feed in streams]
    # An ack's subject has two shapes; which one is used is the server's choice.
    acks = [f"$JS.ACK.{there}{stream}.{feed}.>" for stream, feed in streams for there in ("", "*.*.")]
    seen = [stream_of(fleet, actor) for actor in sorted({*reach.queues, *reach.enqueue} - {ANYONE})]
    states = [f"$JS.API.STREAM.INFO.{stream}" for stream in (["*"] if ANYONE in reach.enqueue else seen)]
    return [*tasks, subjects.dead(fleet, subjects.ANY, sender=cell), *takes, *acks, *states]


def _listened(fleet: str, cell: str, reach: Reach) -> list[str]:
    mailboxes = [subjects.mailbox(fleet, actor) for actor in reach.actors]
    fronts = [door(fleet, actor) for actor in reach.open for door in (subjects.front_door, subjects.work_door)]
    events = [subjects.topic(fleet, topic) for topic in reach.hear]
    notices = [subjects.system(fleet, what) for what in _HEARD]
    return [*mailboxes, *fronts, subjects.lodging(fleet, cell), *events, *notices, *subjects.service_questions()]
