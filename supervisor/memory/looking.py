"""What a person sees of the memories of one cell's actors, and having their vectors made anew."""

import itertools
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from callboard.actors import ActorStopped
from callboard.errors import CallboardError
from callboard.store import (
    Filter,
    Namespace,
    Recalled,
    path_of_actor,
    split_key,
)

from .messages import (
    AtHand,
    Keys,
    ListKeys,
    ListMemory,
    MemoryCounts,
    MemoryFound,
    MemoryOf,
    MemoryPage,
    MemoryShown,
    SearchMemory,
    ShowStats,
)

if TYPE_CHECKING:
    from callboard.store.episodes import EpisodeFile

    from ..cell import Cell

PAGE_MOST: Final = 200
TEXT_SHOWN: Final = 600
REFS_SHOWN: Final = 4
VALUE_SHOWN: Final = 2000
"""Characters of a value."""
VALUE_READ: Final = 16 * 1024
"""Bytes of a value that is shown."""


async def page(cell: "Cell", wish: ListMemory) -> MemoryPage:
    """Return the newest episodes of an actor, their texts shortened."""
    file = await _long_term(cell, wish.actor)
    wanted = Filter(worked=wish.worked, where={"about": wish.about} if wish.about else {})
    limit = max(1, min(wish.limit, PAGE_MOST))
    rows = await file.page(below=wish.below or sys.maxsize, limit=limit, wanted=wanted)
    below = rows[-1].number if len(rows) == limit else 0
    return MemoryPage(rows=[shortened(row.recalled) for row in rows], below=below)


def shortened(found: Recalled) -> Recalled:
    """Return an episode small enough to stand with hundreds in one message; :func:`show` has it whole."""
    episode = found.episode
    texts = {name: getattr(episode, name)[:TEXT_SHOWN] for name in ("situation", "cause", "action", "outcome")}
    labels = dict(itertools.islice(episode.labels.items(), REFS_SHOWN))
    evidence = episode.evidence[:REFS_SHOWN]
    short = msgspec.structs.replace(episode, **texts, labels=labels, evidence=evidence, supersedes=())
    return msgspec.structs.replace(found, episode=short, why=found.why[:TEXT_SHOWN])


async def keys(cell: "Cell", wish: ListKeys) -> Keys:
    """Return what an actor has at hand."""
    space, limit = Namespace(wish.of) if wish.of else None, max(1, min(wish.limit, PAGE_MOST))
    prefix = space.prefix(wish.prefix) if space else wish.prefix
    found = await (await cell.file_of(wish.actor)).look(prefix, limit + 1)
    rows = [AtHand(key, _shown(value), of) for (of, key), value in ((split_key(each), value) for each, value in found)]
    return Keys(rows=rows[:limit], more=len(rows) > limit)


def _shown(value: bytes) -> str:
    if len(value) > VALUE_READ:
        return f"({len(value)} bytes)"  # to read a large one would hold up all actors of the cell
    return msgspec.json.encode(msgspec.msgpack.decode(value), order="deterministic").decode(errors="replace")[
        :VALUE_SHOWN
    ]


async def show(cell: "Cell", actor: str, which: str) -> MemoryShown:
    """Return one episode whole."""
    found, links, messages = await (await _long_term(cell, actor)).show(which)
    return MemoryShown(found=found, links=links, messages=messages)


async def search(cell: "Cell", wish: SearchMemory) -> MemoryFound:
    """Find what an actor knows."""
    file = await _long_term(cell, wish.actor)
    wanted = Filter(worked=wish.worked, where=wish.where, min_trust=wish.min_trust, at=wish.at)
    found = await file.search(wish.query, wish.k, wanted=wanted)
    return MemoryFound(
        found=msgspec.structs.replace(
            found, episodes=list(map(shortened, found.episodes)), warnings=list(map(shortened, found.warnings))
        )
    )


async def counts(cell: "Cell", wish: ShowStats) -> MemoryCounts:
    """Return how much actors know."""
    return MemoryCounts(rows=[await _count(cell, actor) for actor in cell.actors(wish.actor)])


async def _count(cell: "Cell", actor: str) -> MemoryOf:
    memories = cell.memories
    row = MemoryOf(
        actor=actor, keys=0, stats=None, embedder="", reindexed=memories.reindexed.get(actor),
        trouble=memories.trouble.get(actor, ""),
    )  # fmt: skip
    try:
        if path_of_actor(cell.state, actor).exists():
            own = await cell.file_of(actor)
            row = msgspec.structs.replace(row, keys=await own.values(), trouble=row.trouble or own.sweeper.trouble)
        if memories.exists(actor):
            file = await memories.of(actor)
            row = msgspec.structs.replace(row, stats=await file.stats(), embedder=file.indexer.embedder.id)
    except CallboardError as error:
        row = msgspec.structs.replace(row, trouble=error.text)
    return row


async def reindex(cell: "Cell", actor: str) -> list[str]:
    """Begin to make the vectors of actors anew; return whose."""
    begun = [each for each in cell.actors(actor) if cell.memories.exists(each)]
    for each in begun:
        await cell.memories.reindex(each)
    return begun


async def _long_term(cell: "Cell", actor: str) -> "EpisodeFile":
    if actor not in cell.hosts:
        raise ActorStopped(f"{actor} has ended", actor=actor)
    return await cell.memories.of(actor)
