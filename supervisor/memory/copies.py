"""Copies of an actor's memory: made while it goes on, and put back without touching its tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from callboard.store import (
    ACTOR,
    EPISODES,
    ActorFile,
    BackupDamaged,
    DatabaseCorrupt,
    back_up,
    checked_backup,
    path_of_actor,
    path_of_episodes,
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
    folder = Path(wish.folder)
    first, second = (folder / of(cell.state, wish.actor).name for of in (path_of_actor, path_of_episodes))
    there = await anyio.to_thread.run_sync(_sound, {first: ACTOR.application_id, second: EPISODES.application_id})
    if not there:
        raise BackupDamaged(f"{folder} has no copy of the memory of {wish.actor}", actor=wish.actor, path=str(folder))
    file, lines = await _file_or_new(cell, wish.actor)
    if first in there:
        lines.append(f"{await restore_memory(file, first)} values of working memory, from {first}")
    if second in there:
        episodes = await cell.memories.of(wish.actor)
        lines.append(f"{await restore_episodes(episodes, second)} episodes, from {second}")
    await cell.thinking.forget(wish.actor)
    return MemoryFiles(lines=lines)


def _sound(wanted: dict[Path, int]) -> list[Path]:
    """Return the copies that are there; raises BackupDamaged before anything is changed by any of them."""
    there = [path for path in wanted if path.is_file()]
    for path in there:
        checked_backup(path, wanted[path])
    return there


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
