"""A cell's share in the fleet's models: made when an actor of it asks one, and told what concerns answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anyio.abc import TaskGroup

from callboard.actors.llm import LlmConfig
from callboard.names import LOCAL_MODEL, OFFICE
from callboard.store import Outcome

if TYPE_CHECKING:
    from callboard.actors.llm import Minds

    from .cell import Cell


LEAST: Final = 0.4
MOST: Final = 3.0
"""Seconds to settle with the office: at least so many, however late it is, which is less than a cell has until it is
killed; at most so many, as an office that is held will not answer."""


class CellMinds:
    """Of one cell; `tasks` owns what works for its actors."""

    def __init__(self, cell: "Cell", config: LlmConfig, home: Path, *, tasks: TaskGroup) -> None:
        self._cell, self._config, self._home, self._tasks = cell, config, home, tasks
        self._minds: Minds | None = None

    @property
    def on(self) -> bool:
        """Whether actors of this cell can ask anybody; the runtime's own do not."""
        return self._config.on and self._cell.endpoint.cell not in (OFFICE, LOCAL_MODEL)

    def minds(self) -> "Minds":
        """Return what the actors of the cell share when they ask models."""
        if self._minds is None:
            from callboard.actors.llm import Minds

            cell = self._cell
            self._minds = Minds(
                self._config, cell.endpoint, epoch=cell.epoch, clock=cell.clock, home=self._home, report=cell.report,
                tasks=self._tasks,
            )  # fmt: skip
        return self._minds

    async def learn_outcome(self, outcome: Outcome) -> None:
        """Let what was answered for a message that turned out badly not be given again; raises OfficeAway."""
        if self.on:
            await self.minds().learn_outcome(outcome.message, good=outcome.good)

    async def forget(self, actor: str, about: str = "") -> tuple[str, ...]:
        """Forget answers that name somebody, or rest on what an actor remembered; return where they were."""
        return await self.minds().forget(actor, about) if self.on else ()

    @asynccontextmanager
    async def settled(self) -> AsyncGenerator[None, None]:
        """Settle with the office after the block, in what it leaves of the time in which the cell may drain."""
        began = self._cell.clock.monotonic()
        yield
        if self._minds is not None:
            drain_for = max((host.spec.health.drain_for for host in self._cell.hosts.values()), default=0.0)
            left = drain_for - (self._cell.clock.monotonic() - began)
            await self._minds.leave(within=max(min(left, MOST), LEAST))

    async def aclose(self) -> None:
        """Close the connections, however the cell ends."""
        if self._minds is not None:
            await self._minds.aclose()
