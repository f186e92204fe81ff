"""The open files of a cell's actors: each is opened at its first use, and closed when its actor has ended.

A name may be taken again while the one who had it still cleans up. So an actor gives up its file in two steps: at once
for who comes by the name from now on, and for good when nobody uses it any more. The next one waits for that.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from callboard.store import StoreClosed

F = TypeVar("F")


class OpenFile(Generic[F]):
    """One actor's file, from the wish to open it until it is closed."""

    def __init__(self) -> None:
        self.opened: F | None = None
        self.settled = anyio.Event()
        """Set when it is open, or could not be opened."""
        self.scope = anyio.CancelScope()
        self.closed = anyio.Event()

    async def close(self) -> None:
        """Close it; returns when the next one has its turn."""
        self.scope.cancel()
        await self.closed.wait()


class Files(Generic[F]):
    """Owns the files that `open_file` opens in tasks of `tasks`, at whose end all are closed."""

    def __init__(self, open_file: "Callable[[str], AbstractAsyncContextManager[F]]", *, tasks: TaskGroup) -> None:
        self._open_file, self.tasks = open_file, tasks
        self._files: dict[str, OpenFile[F]] = {}
        self._turns: dict[str, anyio.Lock] = {}

    async def file_of(self, actor: str) -> F:
        """Return the file of `actor`; raises what opening it does."""
        while (file := self._files.get(actor)) is not None:
            if file.opened is not None:
                return file.opened
            await file.settled.wait()  # somebody opens it; if that fails, we try ourselves
        return await self._open(actor)

    async def _open(self, actor: str) -> F:
        file = self._files[actor] = OpenFile[F]()
        try:
            opened: F = await self.tasks.start(self._own, actor, file)
        except BaseException:
            if self._files.get(actor) is file:
                del self._files[actor]
            raise
        finally:
            file.settled.set()
        return opened

    async def _own(self, actor: str, file: OpenFile[F], *, task_status: TaskStatus[F]) -> None:
        try:
            with file.scope:
                async with self._turn(actor), self._open_file(actor) as opened:
                    file.opened = opened
                    task_status.started(opened)
                    await anyio.sleep_forever()
        finally:
            file.closed.set()
        if file.opened is None:
            raise StoreClosed(f"{actor} ended before its file was open")

    @asynccontextmanager
    async def _turn(self, actor: str) -> AsyncGenerator[None, None]:
        """Wait until who had the name before has closed the file."""
        lock = self._turns.setdefault(actor, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._turns.pop(actor, None)

    def opened(self) -> dict[str, F]:
        """Return those that are open, by actor."""
        return {actor: file.opened for actor, file in self._files.items() if file.opened is not None}

    def leave(self, actor: str) -> OpenFile[F] | None:
        """Let who comes by this name from now on have a file of its own; the caller closes the one returned."""
        return self._files.pop(actor, None)
