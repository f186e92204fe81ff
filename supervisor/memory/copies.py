"""Copies of an actor's memory: made while it goes on, and put back without touching its tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from callboard.store import (
    ActorFile,
    DatabaseCorrupt,
    NoSuchEpisode,
    back_up,
    path_of_actor,
    restore_episodes,
    restore_memory,
    set_aside,
)

from .messages import BackUpMemory, MemoryFiles, RestoreMemory

if TYPE_CHECKING:
    from ..cell import Cell


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
