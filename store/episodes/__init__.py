"""Remember what happened, why, what was done and whether it worked; find it again by words and by likeness.

A room within the store. What is imported here needs no numpy and no hnswlib: these are loaded when a memory is
first opened, by :func:`open_episodes`.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from callboard.clock import Clock

from .embedder import Embedder
from .episode import Episode, Filter, Link, Recalled, Recollection, checked, id_of
from .outcomes import Outcome, Touched
from .outcomes import checked as checked_outcome
from .person import Forgotten, Person
from .retention import Retention
from .stats import Stats

if TYPE_CHECKING:
    from .file import EpisodeFile as EpisodeFile
    from .indexer import Report

__all__ = [
    "Embedder", "Episode", "Filter", "Forgotten", "Link", "Outcome", "Person", "Recalled", "Recollection", "Retention",
    "Stats", "Touched", "checked", "checked_outcome", "id_of", "open_episodes",
]  # fmt: skip


def open_episodes(
    state: Path, actor: str, *, epoch: int, clock: Clock, embedder: Embedder, report: "Report", keep: Retention
) -> "AbstractAsyncContextManager[EpisodeFile]":
    """Own the long-term memory of an actor for the length of an ``async with``; see :meth:`EpisodeFile.open`."""
    from .file import EpisodeFile

    return EpisodeFile.open(state, actor, epoch=epoch, clock=clock, embedder=embedder, report=report, keep=keep)
