"""The long-term memories of one cell's actors: each opened at its first use, by one embedder for all."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from callboard.actors.embedding import EmbedderTable
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.store import DatabaseCorrupt, Outcome, Retention, Touched, open_episodes, path_of_episodes, set_aside

from ..files import Files, OpenFile

if TYPE_CHECKING:
    from callboard.store import Embedder
    from callboard.store.episodes import EpisodeFile

Report = Callable[[str, str, str], None]
"""Kind, actor and text of an event."""


class Memories:
    """Owns the files in tasks of `tasks`, at whose end all are closed."""

    def __init__(
        self, state: Path, table: EmbedderTable, *, epoch: int, clock: Clock, report: Report, tasks: TaskGroup,
        keep: Callable[[str], Retention],
    ) -> None:  # fmt: skip
        self._state, self._table, self._epoch, self._clock = state, table, epoch, clock
        self._report, self._keep = report, keep
        self._files: Files[EpisodeFile] = Files(self._open, tasks=tasks)
        self._tasks = tasks
        self._embedder: Embedder | None = None
        self._choosing = anyio.Lock()
        self.reindexed: dict[str, int] = {}
        """Of those whose vectors are being made anew: how many are there."""
        self.trouble: dict[str, str] = {}
        """Of those whose last reindex ended early: why."""

    async def of(self, actor: str) -> "EpisodeFile":
        """Return an actor's long-term memory; raises what opening it does, ModelAbsent and BadModelKey."""
        return await self._files.file_of(actor)

    def exists(self, actor: str) -> bool:
        """Return whether an actor has ever remembered, or recalled, anything."""
        return path_of_episodes(self._state, actor).exists()

    def leave(self, actor: str) -> "OpenFile[EpisodeFile] | None":
        """Let the next of this name have the file to itself, once the caller has closed what is returned."""
        return self._files.leave(actor)

    async def hear(self, outcome: Outcome, actors: Iterable[str]) -> Touched:
        """Let these actors take in how a message turned out; raises the last error, when all others have."""
        touched, failed = Touched(), None
        for actor in [actor for actor in actors if self.exists(actor)]:
            try:
                touched += await (await self.of(actor)).outcome(outcome)
            except CallboardError as error:
                failed = error
        if failed is not None:
            raise failed
        return touched

    async def embedder(self) -> "Embedder":
        """Return the embedder of this cell; choosing it reads files, and may load packages."""
        async with self._choosing:
            if self._embedder is None:
                from callboard.actors.embedding import choose_embedder  # not at each start: few remember at once

                self._embedder = await anyio.to_thread.run_sync(choose_embedder, self._table)
        return self._embedder

    async def reindex(self, actor: str) -> None:
        """Begin to make vectors of all that an actor remembers by this cell's embedder, unless that is under way."""
        file, embedder = await self.of(actor), await self.embedder()
        if actor not in self.reindexed:
            self.reindexed[actor] = 0
            self._tasks.start_soon(self._reindex, file, embedder)

    async def _reindex(self, file: "EpisodeFile", embedder: "Embedder") -> None:
        actor = file.actor

        def progress(done: int) -> None:
            self.reindexed[actor] = done

        try:
            made = await file.reindex(embedder, progress=progress)
        except CallboardError as error:
            self.trouble[actor] = error.text
            self._report("memory-not-reindexed", actor, error.text)
        else:
            self.trouble.pop(actor, None)
            self._report("memory-reindexed", actor, f"{made} vectors made by {embedder.id}")
        finally:
            self.reindexed.pop(actor, None)

    @asynccontextmanager
    async def _open(self, actor: str) -> "AsyncGenerator[EpisodeFile, None]":
        """Open a memory; one that is damaged is set aside whole, and the actor begins with an empty one."""
        embedder = await self.embedder()
        async with AsyncExitStack() as stack:
            try:
                file = await stack.enter_async_context(self._opened(actor, embedder))
            except DatabaseCorrupt as error:
                aside = await anyio.to_thread.run_sync(
                    lambda: set_aside(path_of_episodes(self._state, actor), now=self._clock.now())
                )
                text = f"it begins anew, and what was there is kept in {aside.name}: {error.text}"
                self._report("memory-damaged", actor, text)
                file = await stack.enter_async_context(self._opened(actor, embedder))
            yield file

    @asynccontextmanager
    async def _opened(self, actor: str, embedder: "Embedder") -> "AsyncGenerator[EpisodeFile, None]":
        async with open_episodes(
            self._state, actor, epoch=self._epoch, clock=self._clock, embedder=embedder, keep=self._keep(actor),
            report=lambda kind, text: self._report(kind, actor, text),
        ) as file:  # fmt: skip
            yield file
