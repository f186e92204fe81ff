"""What a person sees and does of the memories of one cell's actors: looked up, searched, forgotten, copied."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
import msgspec

from callboard.actors import ActorStopped
from callboard.errors import CallboardError
from callboard.store import (
    ActorFile,
    DatabaseCorrupt,
    Filter,
    Namespace,
    NoSuchEpisode,
    Person,
    back_up,
    erase,
    left_in,
    path_of_actor,
    restore_episodes,
    restore_memory,
    set_aside,
    split_key,
)

from .messages import (
    AtHand,
    BackUpMemory,
    ForgetMemory,
    Forgot,
    ForgottenBy,
    Keys,
    ListKeys,
    ListMemory,
    MemoryCounts,
    MemoryFiles,
    MemoryFound,
    MemoryOf,
    MemoryPage,
    MemoryShown,
    RestoreMemory,
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
    return MemoryCounts(rows=[await _count(cell, actor) for actor in _actors(cell, wish.actor)])


async def _count(cell: "Cell", actor: str) -> MemoryOf:
    memories = cell.memories
    row = MemoryOf(
        actor=actor, keys=0, stats=None, embedder="", reindexed=memories.reindexed.get(actor),
        trouble=memories.trouble.get(actor, ""),
    )  # fmt: skip
    try:
        if path_of_actor(cell.state, actor).exists():
            row = msgspec.structs.replace(row, keys=await (await cell.file_of(actor)).values())
        if memories.exists(actor):
            file = await memories.of(actor)
            row = msgspec.structs.replace(row, stats=await file.stats(), embedder=file.indexer.embedder.id)
    except CallboardError as error:
        row = msgspec.structs.replace(row, trouble=error.text)
    return row


async def forget(cell: "Cell", wish: ForgetMemory) -> Forgot:
    """Delete one episode, or all that actors know of somebody; what cannot be reached is said."""
    rows, left = list[ForgottenBy](), list[str]()
    for actor in _actors(cell, wish.actor):
        try:
            rows.append(await _forget(cell, actor, wish, left))
        except CallboardError as error:
            if wish.actor:
                raise
            left.append(f"{actor}: not reached: {error.text}")
    return Forgot(rows=rows, left=tuple(left))


async def _forget(cell: "Cell", actor: str, wish: ForgetMemory, left: list[str]) -> ForgottenBy:
    episodes, keys, places = list[str](), list[str](), list[str]()
    if cell.memories.exists(actor):
        found = await (await cell.memories.of(actor)).forget(Person(about=wish.about, id=wish.id))
        episodes, places = found.episodes, found.places
    if wish.about and path_of_actor(cell.state, actor).exists():
        file = await cell.file_of(actor)
        name = file.db.path.name
        keys, swept = await erase(file, wish.about)
        places = [*places, f"{name}: {len(keys)} values of working memory, {swept}"]
        left += [f"{name}: {count} rows of {table}" for table, count in (await left_in(file, wish.about)).items()]
    elif not wish.about and not episodes:
        raise NoSuchEpisode(f"{actor} remembers nothing under {wish.id!r}", actor=actor, id=wish.id)
    return ForgottenBy(actor=actor, episodes=episodes, keys=keys, places=places)


async def reindex(cell: "Cell", actor: str) -> list[str]:
    """Begin to make the vectors of actors anew; return whose."""
    begun = [each for each in _actors(cell, actor) if cell.memories.exists(each)]
    for each in begun:
        await cell.memories.reindex(each)
    return begun


async def copy(cell: "Cell", wish: BackUpMemory) -> MemoryFiles:
    """Copy an actor's files into a folder while it goes on."""
    file, folder, lines = await cell.file_of(wish.actor), Path(wish.folder), list[str]()
    lines.append(_said(folder / file.db.path.name, await back_up(file.db, folder / file.db.path.name)))
    if cell.memories.exists(wish.actor):
        episodes = await cell.memories.of(wish.actor)
        target = folder / episodes.db.path.name
        lines.append(_said(target, await back_up(episodes.db, target)))
    return MemoryFiles(lines=lines)


def _said(path: Path, size: int) -> str:
    return f"{path}: {size} bytes"


async def restore(cell: "Cell", wish: RestoreMemory) -> MemoryFiles:
    """Put the memory of an actor back as it was copied; its tasks stay as they are.

    If its file is damaged, that is set aside whole, and with it what its unfinished tasks had done.
    """
    folder, lines = Path(wish.folder), list[str]()
    file, aside = await _file_or_new(cell, wish.actor)
    lines += aside
    if (source := folder / file.db.path.name).exists():
        lines.append(f"{await restore_memory(file, source)} values of working memory, from {source}")
    if (source := folder / f"{wish.actor}.episodes.db").exists():
        episodes = await cell.memories.of(wish.actor)
        lines.append(f"{await restore_episodes(episodes, source)} episodes, from {source}")
    if not lines[len(aside) :]:
        raise NoSuchEpisode(f"{folder} has no copy of the memory of {wish.actor}", actor=wish.actor)
    return MemoryFiles(lines=lines)


async def _file_or_new(cell: "Cell", actor: str) -> tuple[ActorFile, list[str]]:
    try:
        return await cell.file_of(actor), []
    except DatabaseCorrupt as error:
        aside = await anyio.to_thread.run_sync(
            lambda: set_aside(path_of_actor(cell.state, actor), now=cell.clock.now())
        )
        text = f"{error.text}; kept as {aside.name}, and what its unfinished tasks had done with it"
        cell.report("memory-damaged", actor, text)
        return await cell.file_of(actor), [text]


async def _long_term(cell: "Cell", actor: str) -> "EpisodeFile":
    if actor not in cell.hosts:
        raise ActorStopped(f"{actor} has ended", actor=actor)
    return await cell.memories.of(actor)


def _actors(cell: "Cell", actor: str) -> list[str]:
    return [actor] if actor else cell.own_actors()
