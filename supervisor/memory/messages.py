"""What commands ask of an actor's memory: the daemon passes it on to the cell that owns the files."""

import msgspec

from callboard.actors import Message
from callboard.store import Link, Outcome, Recalled, Recollection, Stats, Touched

from ..persons import Command


class ListMemory(Message):
    """``callboard memory ls ACTOR``: the newest episodes, or those before the one numbered `below`."""

    actor: str
    limit: int = 50
    below: int = 0
    about: str = ""
    worked: bool | None = None


class MemoryPage(Message):
    """Episodes, the newest first."""

    rows: list[Recalled]
    below: int = 0
    """Ask for the next page with this; 0: there is none."""


class ListKeys(Message):
    """``callboard memory ls ACTOR --at-hand``: what its working memory holds, by key."""

    actor: str
    of: str = ""
    """Only of this namespace."""
    prefix: str = ""
    limit: int = 200


class AtHand(msgspec.Struct, frozen=True):
    """One value of working memory."""

    key: str
    value: str
    """As JSON, for people; cut if it is long."""
    of: str = ""
    """Its namespace, as in ``ctx.memory.of(…)``; empty if it lies in none."""


class Keys(Message):
    """Values of working memory, in order of their keys."""

    rows: list[AtHand]
    more: bool = False


class ShowMemory(Message):
    """``callboard memory show ACTOR ID``."""

    actor: str
    id: str


class MemoryShown(Message):
    """One episode whole."""

    found: Recalled
    links: list[Link]
    messages: list[str]
    """Those by whose id an outcome finds it: in which it was remembered, or on which it rests."""


class SearchMemory(Message):
    """``callboard memory search ACTOR QUERY``: as the actor's own ``recall``, but not counted as one."""

    actor: str
    query: str
    where: dict[str, str]
    k: int = 10
    worked: bool | None = None
    min_trust: int = 0
    at: float | None = None


class MemoryFound(Message):
    """What a search has found."""

    found: Recollection


class ShowStats(Message):
    """``callboard memory stats``: of one actor, or of all if `actor` is empty."""

    actor: str = ""


class MemoryOf(msgspec.Struct, frozen=True, kw_only=True):
    """How much one actor knows."""

    actor: str
    keys: int
    """Values at hand."""
    stats: Stats | None
    """None: it has no long-term memory."""
    embedder: str
    """The one at hand; if the stored vectors are of another, recall goes by words until ``memory reindex``."""
    reindexed: int | None = None
    """While a reindex runs: how many vectors it has made."""
    trouble: str = ""
    """Why its memory cannot be read, or why the last reindex ended early."""


class MemoryCounts(Message):
    """How much actors know."""

    rows: list[MemoryOf]
    unheard: tuple[str, ...] = ()
    """Cells that did not answer, and why."""


class ForgetMemory(Command):
    """``callboard memory forget``: one episode by its `id`, or all that concerns whom it is `about`.

    Of one actor, or with `about` and no actor of all.
    """

    actor: str = ""
    id: str = ""
    about: str = ""


class WouldForget(Message):
    """What `ForgetMemory` with this `about` would delete now."""

    about: str
    actor: str = ""


class MentionedBy(msgspec.Struct, frozen=True):
    """How often one actor's memory names somebody."""

    actor: str
    episodes: int
    keys: int


class Mentioned(Message):
    """The actors whose memory names somebody."""

    rows: list[MentionedBy]
    unheard: tuple[str, ...] = ()
    """Cells that did not answer, and why."""


class ForgottenBy(msgspec.Struct, frozen=True, kw_only=True):
    """What one actor has forgotten."""

    actor: str
    episodes: int
    keys: int
    """Of working memory."""
    places: list[str]
    """Each place that was looked at, and what was done there."""


class Forgot(Message):
    """What was forgotten, and what could not be."""

    rows: list[ForgottenBy]
    left: tuple[str, ...] = ()
    """Places that may hold something of it still, and why."""


class ReindexMemory(Command):
    """``callboard memory reindex``: of one actor, or of all if `actor` is empty. Goes on in the background."""

    actor: str = ""


class BackUpMemory(Command):
    """``callboard memory backup ACTOR FOLDER``."""

    actor: str
    folder: str


class RestoreMemory(Command):
    """``callboard memory restore ACTOR FOLDER``."""

    actor: str
    folder: str


class MemoryFiles(Message):
    """What was written, read or begun: a line for each."""

    lines: list[str]
    unheard: tuple[str, ...] = ()
    """Cells that did not answer, and why."""


class SayOutcome(Command):
    """``callboard outcome ID good|bad``."""

    message: str
    good: bool
    why: str = ""


class PassOutcome(Message):
    """A cell passes on what one of its actors says of how a message turned out: its own actors have heard it."""

    cell: str
    epoch: int
    outcome: Outcome


class HearOutcome(Message):
    """Told to a cell by the daemon."""

    outcome: Outcome


class OutcomeSaid(Message):
    """How many episodes it concerns."""

    touched: Touched
    unheard: tuple[str, ...] = ()
    """Cells that did not take it in, and why."""
