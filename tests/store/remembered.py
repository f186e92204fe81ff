"""An actor's long-term memory, opened for a test."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from callboard.store.episodes import Embedder, Episode, Recollection, Retention
from callboard.store.episodes.file import EpisodeFile

from ..manual_clock import ManualClock
from .embedders import Fake

DEADLINE = 10.0


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    embedder: Embedder | None = None,
    clock: ManualClock | None = None,
    said: list[str] | None = None,
    keep: Retention | None = None,
) -> AsyncGenerator[EpisodeFile, None]:
    """Open the memory of the actor `a`; kinds of its events go to `said`."""
    events = [] if said is None else said
    async with EpisodeFile.open(
        folder, "a", epoch=1, clock=clock or ManualClock(), embedder=embedder or Fake(),
        report=lambda kind, _: events.append(kind), keep=keep or Retention(),
    ) as memory:  # fmt: skip
        yield memory


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, within a deadline."""
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - a condition of the code under test has no event
            await anyio.sleep(0.001)


async def indexed(memory: EpisodeFile, count: int) -> None:
    """Wait until so many vectors are found."""
    await until(lambda: len(memory.indexer.index) == count)


def situations(found: Recollection) -> list[str]:
    return [each.episode.situation for each in found.episodes]


def warned(found: Recollection) -> list[str]:
    return [each.episode.situation for each in found.warnings]


def raw(folder: Path) -> bytes:
    """Return the bytes of all files below a folder."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def told(situation: str, **more: object) -> Episode:
    """Return an episode."""
    return Episode(situation=situation, **more)  # type: ignore[arg-type]  # each test names its own fields
