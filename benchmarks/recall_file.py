"""A long-term memory to be measured: what is remembered in it, and how long that and a recall take."""

import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import anyio

from callboard.actors.embedding import StaticEmbedder
from callboard.clock import SystemClock
from callboard.store.episodes import Embedder, Retention, open_episodes

from . import recall_texts

if TYPE_CHECKING:
    from callboard.store.episodes.file import EpisodeFile

AT_ONCE: Final = 64
MOST: Final = 10_000_000


@asynccontextmanager
async def opened(embedder: Embedder | None = None) -> "AsyncGenerator[EpisodeFile, None]":
    """Open an empty memory in a folder that goes afterwards."""
    with TemporaryDirectory(prefix="callboard-bench-") as folder:
        keep = Retention(most=MOST)
        async with open_episodes(
            Path(folder), "bench", epoch=1, clock=SystemClock(), embedder=embedder or StaticEmbedder(),
            report=lambda kind, text: print(f"{kind}: {text}", file=sys.stderr), keep=keep,
        ) as file:  # fmt: skip
            yield file


async def remember(file: "EpisodeFile", numbers: range) -> tuple[float, float]:
    """Remember made-up episodes; return the seconds until the last was stored, and until it was indexed."""
    episodes = iter([recall_texts.episode(number) for number in numbers])

    async def keep_remembering() -> None:
        for each in episodes:
            await file.remember(each)

    begin = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(keep_remembering)
    stored = time.perf_counter() - begin
    while file.indexer.behind:
        await file.indexer.caught_up(60.0)
    indexed = time.perf_counter() - begin
    if len(file.indexer.index) != numbers.stop:
        raise RuntimeError(f"{numbers.stop} episodes were remembered and {len(file.indexer.index)} are in the index")
    await file.indexer.keep_up()  # a snapshot that is due would come in between
    return stored, indexed


async def recalls(file: "EpisodeFile", queries: list[str], say: Callable[[str], None]) -> list[float]:
    """Return how many milliseconds each recall took, one at a time, the shortest first."""
    taken = list[float]()
    for query in queries:
        begin = time.perf_counter()
        found = await file.recall(query)
        taken.append((time.perf_counter() - begin) * 1e3)
        if found.by == "words" or not found.episodes:
            raise RuntimeError(f"{query!r} was answered by {found.by} with {len(found.episodes)} episodes")
    taken.sort()
    say(f"recall: p50 {part(taken, 0.5):.2f} ms, p99 {part(taken, 0.99):.2f} ms, the longest {taken[-1]:.2f} ms")
    return taken


def part(ordered: list[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
