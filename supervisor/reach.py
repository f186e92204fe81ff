"""Who can reach whom in a fleet, by grants and topics alone, and which cell joins what should be kept apart. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from callboard.actors import ActorSpec, Verb, is_untrusted
from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import is_here
from callboard.bus import ANYONE

OUTSIDE: Final = "outside"
Way = Literal["door", "tell", "ask", "enqueue", "publish"]
_TO_ACTORS: Final[tuple[Verb, ...]] = ("tell", "ask", "enqueue")


class Edge(msgspec.Struct, frozen=True, order=True):
    """That one may reach another, and how."""

    source: str
    target: str
    way: Way
    terms: str = ""
    """What is written in the grant, if it is more than a name; of an event, its topic."""


class Junction(msgspec.Struct, frozen=True, kw_only=True):
    """One cell that joins untrusted input, private data and a way out: who controls the first gets the second out."""

    cell: str
    untrusted: list[str]
    private: list[str]
    ways_out: list[str]

    def __str__(self) -> str:
        """Return it in words."""
        return (
            f"cell {self.cell} joins untrusted input ({', '.join(self.untrusted)}), private data "
            f"({', '.join(self.private)}) and a way out ({', '.join(self.ways_out)}): put them in cells of their own, "
            "or take one away"
        )


def edges_of(specs: Sequence[ActorSpec]) -> list[Edge]:
    """Return all edges between actors, and from the outside, in order."""
    names = [spec.name for spec in specs]
    found = {Edge(OUTSIDE, spec.name, "door") for spec in specs if spec.open}
    for spec in specs:
        for verb in _TO_ACTORS:
            for text, term in spec.may.entries(verb):
                targets = [name for name in names if name != spec.name] if term.name == ANYONE else [term.name]
                terms = "" if text == term.name else text
                found.update(Edge(spec.name, target, verb, terms) for target in targets)  # type: ignore[arg-type]  # one of three
        for topic in spec.may.names("publish"):
            hearers = [each.name for each in specs if ANYONE in (topic, *each.heard) or topic in each.heard]
            found.update(Edge(spec.name, hearer, "publish", topic) for hearer in hearers if hearer != spec.name)
    return sorted(found)


def leaving(specs: Sequence[ActorSpec], table: EmbedderTable) -> list[str]:
    """Return a warning for each private actor whose memories leave the machine to be compared."""
    if table.embedder != "endpoint" or is_here(table.url):
        return []
    text = "is private, and what it remembers and asks its memory goes to"
    return [f"{spec.name} {text} {table.url}: choose an embedder of this machine" for spec in specs if spec.private]


def warnings_of(specs: Sequence[ActorSpec]) -> list[Junction]:
    """Return the cells that join all three; a cell is what the server can hold to its permissions."""
    found = list[Junction]()
    for cell in dict.fromkeys(spec.cell for spec in specs):
        inside = [spec for spec in specs if spec.cell == cell]
        junction = Junction(
            cell=cell, untrusted=[f"{spec.name}: {why}" for spec in inside for why in _untrusted(spec)],
            private=[spec.name for spec in inside if spec.private],
            ways_out=[f"{spec.name}: {why}" for spec in inside for why in _ways_out(spec)],
        )  # fmt: skip
        if junction.untrusted and junction.private and junction.ways_out:
            found.append(junction)
    return found


def _untrusted(spec: ActorSpec) -> Iterator[str]:
    """Yield how what nobody vouches for comes to an actor."""
    if spec.open:
        yield "its door is open"
    for topic in spec.heard:
        yield f"topic {topic}"
    messages = [route.message for route in spec.actor.table.direct.values()]
    for name in sorted(message.__name__ for message in messages if is_untrusted(message)):
        yield f"{name} carries foreign text"


def _ways_out(spec: ActorSpec) -> Iterator[str]:
    """Yield how something leaves the fleet through an actor."""
    if spec.open:
        yield "it answers at its door"
    for act in spec.may.act:
        yield f"act {act}"
