"""What commands and cells say to the daemon, and the daemon to cells."""

from typing import Literal

from callboard.actors import Health, Message, Row
from callboard.errors import Detail
from callboard.store import Event

from .autopsy import Autopsy
from .persons import Command
from .verdict import Signs

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


class Order(Command):
    """A person's hand on an actor."""

    verb: Verb
    actor: str


class NewHomes(Message):
    """Told to a cell: who lives where from now on."""

    homes: dict[str, str]


class Reloaded(Command):
    """``callboard reload``."""


class Stop(Command):
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


class Wedged(Message):
    """A handler of this cell goes on though it was stopped; the process asks to be ended."""

    cell: str
    epoch: int
    actor: str
    why: str
    stack: list[str]


class Confine(Message):
    """A message failed its actor too often: a packed letter, what it is known by, and what was said each time."""

    cell: str
    epoch: int
    actor: str
    letter: bytes
    digest: str
    history: list[str]


class Serves(Message):
    """An actor of this cell has handled its first message since the process was started."""

    cell: str
    epoch: int
    actor: str


class Left(Message):
    """What an actor of a cell that was told to stop did not come to: packed letters, to be kept for its next life."""

    cell: str
    epoch: int
    actor: str
    letters: bytes


class Settled(Message):
    """Each actor of this cell has started, or is held."""

    cell: str
    epoch: int


class Escalated(Message):
    """The actors of this cell are given up; its process is about to end."""

    cell: str
    epoch: int
    why: str


class ShowAutopsy(Message):
    """``callboard autopsy CELL``."""

    cell: str


class AutopsyFound(Message):
    """The latest autopsy of a cell; none if it has not died since it is known."""

    autopsy: Autopsy | None


class ShowHealth(Message):
    """``callboard health ACTOR``."""

    actor: str


class ActorHealth(Message):
    """All that is known of how an actor is."""

    row: ActorRow
    limits: Health
    signs: Signs | None
    """What was seen of its process last."""
    crashes: int
    """Deaths of its cell that still count against its budget."""
    most: int
    """As many are allowed within the window; one more and it is held."""
    events: list[Event]
    """The latest about the actor and its cell, oldest first."""
    permissions: str = ""
    """By whom permissions are enforced."""


class Pardon(Message):
    """Told to a cell: this content is no longer refused."""

    actor: str
    digest: str
