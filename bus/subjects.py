"""The grammar of subjects: build, parse, match. Nothing else in the project puts dots between tokens.

``cb.<fleet>.to.<actor>.<cell>``   a mailbox; the last token is the sending cell
``cb.<fleet>.to.<actor>``          the front door of an open actor
``cb.<fleet>.in.<home>.<actor>.<cell>``   the mailbox of an actor that was spawned in the cell ``home``
``cb.<fleet>.on.<topic>.<cell>``   an event
``cb.<fleet>.do.<actor>.<lane>.<partition>.<cell>``   a durable task
``cb.<fleet>.do.<actor>``          the front door of its queue; who keeps it stores what comes in the lane ``door``
``cb.<fleet>.dead.<actor>.<cell>``   a dead letter
``cb.<fleet>.sys.<what>.<cell>``   the fleet's own notices
"""

from typing import Final, Literal, NamedTuple

from callboard.errors import CallboardError
from callboard.names import checked

from .errors import InvalidSubject

ROOT: Final = "cb"
ANY: Final = "*"
DOOR: Final = "door"
"""The lane of tasks that outsiders have brought."""
QUEUE: Final = "cb"
"""All who answer at one address are one queue: an incarnation and the next one or, while it is down, its understudy."""
Branch = Literal["to", "in", "on", "sys"]
_LENGTHS: Final[dict[Branch, tuple[int, ...]]] = {"to": (4, 5), "in": (6,), "on": (5,), "sys": (5,)}


class Place(NamedTuple):
    """A parsed subject. ``cell`` is the sender, empty at the front door; ``home`` where a spawned actor lives."""

    fleet: str
    branch: Branch
    name: str
    cell: str
    home: str = ""


def _name(token: str, kind: Literal["actor", "topic", "cell"]) -> str:
    return token if token == ANY else checked(token, kind)


def mailbox(fleet: str, actor: str, *, sender: str = ANY) -> str:
    """Return the subject of `actor`'s mailbox as spoken to by the cell `sender` (``*`` to listen to all)."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.to.{_name(actor, 'actor')}.{_name(sender, 'cell')}"


def front_door(fleet: str, actor: str) -> str:
    """Return the subject at which outsiders reach an open actor."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.to.{_name(actor, 'actor')}"


def lodging(fleet: str, home: str, *, actor: str = ANY, sender: str = ANY) -> str:
    """Return the subject of `actor`'s mailbox if it was spawned in the cell `home`; of all such by default."""
    place = f"{_name(home, 'cell')}.{_name(actor, 'actor')}.{_name(sender, 'cell')}"
    return f"{ROOT}.{checked(fleet, 'fleet')}.in.{place}"


def topic(fleet: str, name: str, *, sender: str = ANY) -> str:
    """Return the subject of the events of a topic."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.on.{_name(name, 'topic')}.{_name(sender, 'cell')}"


def system(fleet: str, what: str, *, sender: str = ANY) -> str:
    """Return the subject of the fleet's own notices of one kind."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.sys.{_name(what, 'topic')}.{_name(sender, 'cell')}"


class WorkPlace(NamedTuple):
    """A parsed subject of durable work. ``cell`` is who it is of, empty if it came in at the front door."""

    fleet: str
    actor: str
    cell: str
    dead: bool = False
    topic: str = ""
    """Of an event, which is for no one actor."""


def work(fleet: str, actor: str, *, lane: str = "", partition: int = 0, sender: str = ANY) -> str:
    """Return the subject of a durable task; without a `lane`, of all the tasks of an actor that cells store."""
    root = f"{ROOT}.{checked(fleet, 'fleet')}.do.{checked(actor, 'actor')}"
    return f"{root}.{checked(lane, 'topic')}.{partition:d}.{_name(sender, 'cell')}" if lane else f"{root}.*.*.*"


def work_of(fleet: str, actor: str, *, sender: str) -> str:
    """Return the subject of all tasks that the cell `sender` may store for an actor; ``*``: for each."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.do.{_name(actor, 'actor')}.*.*.{_name(sender, 'cell')}"


def work_door(fleet: str, actor: str) -> str:
    """Return the subject at which outsiders bring a task to an open actor."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.do.{_name(actor, 'actor')}"


def service_questions() -> list[str]:
    """Return all subjects at which the NATS service protocol asks."""
    return [f"$SRV.{verb}{rest}" for verb in ("PING", "INFO", "STATS") for rest in ("", ".>")]


def dead(fleet: str, actor: str, *, sender: str = ANY) -> str:
    """Return the subject of the dead letters of an actor; ``*``: of all."""
    return f"{ROOT}.{checked(fleet, 'fleet')}.dead.{_name(actor, 'actor')}.{_name(sender, 'cell')}"


def parse_work(subject: str) -> WorkPlace:
    """Take a subject of durable work apart; raise :class:`InvalidSubject` if it is none."""
    tokens = subject.split(".")
    if tokens[2:3] == ["on"]:
        event = parse(subject)
        return WorkPlace(event.fleet, "", event.cell, topic=event.name)
    dead = tokens[2:3] == ["dead"]
    if len(tokens) != (5 if dead else 7) or tokens[0] != ROOT or not (dead or tokens[2] == "do"):
        raise InvalidSubject(f"{subject[:120]!r} is not cb.<fleet>.do.<actor>.<lane>.<partition>.<cell>")
    try:
        cell = checked(tokens[-1], "cell")
        outside = not dead and tokens[4] == DOOR
        return WorkPlace(checked(tokens[1], "fleet"), checked(tokens[3], "actor"), "" if outside else cell, dead)
    except CallboardError as error:
        raise InvalidSubject(f"{subject[:120]!r}: {error}") from error


def parse(subject: str) -> Place:
    """Take a subject apart; raise :class:`InvalidSubject` if it is not one of ours."""
    tokens = subject.split(".")
    if len(tokens) < 4 or tokens[0] != ROOT or tokens[2] not in _LENGTHS:
        raise InvalidSubject(f"{subject[:120]!r} is not cb.<fleet>.<to|in|on|sys>.<name>[.<cell>]")
    if len(tokens) not in _LENGTHS[tokens[2]]:
        raise InvalidSubject(f"{subject[:120]!r} lacks a token, or has one too many: only .to. has a front door")
    try:
        fleet, *homes = checked(tokens[1], "fleet"), *(checked(home, "cell") for home in tokens[3:-2])
        name = checked(tokens[3 + len(homes)], "actor")
        cell = checked(tokens[-1], "cell") if len(tokens) > 4 else ""
    except CallboardError as error:
        raise InvalidSubject(f"{subject[:120]!r}: {error}") from error
    return Place(fleet, tokens[2], name, cell, *homes)


def check_publishable(subject: str) -> None:
    """Raise :class:`InvalidSubject` for what nobody may publish to.

    The line protocol ends a subject at a blank, the client's parser at more than that, and the server takes wildcards
    literally. Reply addresses come from peers, so this is asked of every message.
    """
    if not subject.isprintable() or " " in subject or "*" in subject or ">" in subject or not subject:
        raise InvalidSubject(f"{subject[:120]!r} cannot be published to: no blanks, controls or wildcards")


def covers(pattern: str, subject: str) -> bool:
    """Return what :func:`matches` does, sooner for what is asked of each message."""
    if pattern.endswith(".*"):
        return subject.rpartition(".")[0] == pattern[:-2] or matches(pattern, subject)
    return subject == pattern or matches(pattern, subject)


def matches(pattern: str, subject: str) -> bool:
    """Return whether `subject` is covered by `pattern`, with the server's wildcards ``*`` and ``>``."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(given) > index
        if index >= len(given) or part not in (ANY, given[index]):
            return False
    return len(wanted) == len(given)
