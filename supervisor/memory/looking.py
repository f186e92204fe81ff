"""What a person sees of the memories of one cell's actors, and having their vectors made anew."""

import sys
from typing import TYPE_CHECKING, Final

import msgspec

from callboard.actors import ActorStopped
from callboard.errors import CallboardError
from callboard.store import (
    Filter,
    Namespace,
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
VALUE_SHOWN: Final = 2000
"""Characters of a value."""


async def page(cell: "Cell", wish: ListMemory) -> MemoryPage:
    """Return the newest episodes of an actor."""
    file = await _long_term(cell, wish.actor)
    wanted = Filter(worked=wish.worked, where={"about": wish.about} if wish.about else {})
    limit = max(1, min(wish.limit, PAGE_MOST))
    rows = await file.page(below=wish.below or sys.maxsize, limit=limit, wanted=wanted)
    return MemoryPage(rows=[row.recalled for row in rows], below=rows[-1].number if len(rows) == limit else 0)


async def keys(cell: "Cell", wish: ListKeys) -> Keys:
    """Return what an actor has at hand."""
    memory = (await cell.file_of(wish.actor)).memory
    space, limit = Namespace(wish.of) if wish.of else None, max(1, min(wish.limit, PAGE_MOST))
    found = await memory.items(space.prefix(wish.prefix) if space else wish.prefix)
    rows = [AtHand(key, _shown(value), of) for (of, key), value in ((split_key(each), value) for each, value in found)]
    return Keys(rows=rows[:limit], more=len(rows) > limit)


def _shown(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode(errors="replace")[:VALUE_SHOWN]


async def show(cell: "Cell", actor: str, which: str) -> MemoryShown:
    """Return one episode whole; the beginning of its id is enough."""
    found, links = await (await _long_term(cell, actor)).show(which)
    return MemoryShown(found=found, links=links)


async def search(cell: "Cell", wish: SearchMemory) -> MemoryFound:
    """Find what an actor knows."""
    file = await _long_term(cell, wish.actor)
    wanted = Filter(worked=wish.worked, where=wish.where, min_trust=wish.min_trust, at=wish.at)
    return MemoryFound(found=await file.search(wish.query, wish.k, wanted=wanted))


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
