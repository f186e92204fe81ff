"""What commands and cells say to the daemon, and the daemon to cells."""

from typing import Literal

from callboard.actors import Message, Row
from callboard.errors import Detail
from callboard.store import Event

Verb = Literal["restart", "hold", "revive"]


class ActorRow(Row, frozen=True, kw_only=True):
    """A row of ``callboard ps``: how it stands with an actor, and where it lives."""

    cell: str
    pid: int
    up_for: float
    """Seconds since this incarnation was started."""


class ListActors(Message):
    """``callboard ps``."""


class Actors(Message):
    """The fleet, one row for each actor."""

    fleet: str
    rows: list[ActorRow]


class ListEvents(Message):
    """``callboard events``: the newest `limit`, or those after `after`."""

    limit: int = 50
    after: int = -1
    kind: str = ""
    subject: str = ""


class EventList(Message):
    """Events, oldest first."""

    events: list[Event]


class Order(Message):
    """A person's hand on an actor."""

    verb: Verb
    actor: str


class Stop(Message):
    """``callboard down``."""


class Done(Message):
    """It is done, or under way."""

    text: str = ""


class Recorded(Message):
    """An event that a cell reports."""

    kind: str
    subject: str
    text: str
    detail: Detail


class CellUp(Message):
    """A cell's actors are at their addresses; it asks for what was kept for `actor`, page by page."""

    cell: str
    epoch: int
    actor: str
    begin: bool


class Kept(Message):
    """A page of letters that were kept, packed; `more` if another follows."""

    letters: bytes
    more: bool


class CellReady(Message):
    """Everything was handed over; the cell serves."""

    cell: str
    epoch: int


class ListRows(Message):
    """Asked of a cell by the daemon."""


class Rows(Message):
    """A cell's actors."""

    rows: list[Row]
