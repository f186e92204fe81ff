"""Whether a budget holds when everybody spends its last dollar at once: a part of ``python -m benchmarks.minds``.

Each schedule has a budget of its own in one office file, three cells with a purse each, and 200 callers that hold what
a call can cost, wait for chance, are sometimes cancelled, and spend at most what they hold. What is counted is what
they really spent beyond the budget.
"""

import math
import random
import tempfile
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from callboard.actors.llm import BudgetSpent, CallTooLarge
from callboard.actors.llm.purse.lease import Back, Hold
from callboard.actors.llm.purse.purse import Purse
from callboard.actors.office import Money
from callboard.clock import SystemClock
from callboard.store.office import Entry, Leased, LeaseRequest, OfficeFile, Window, open_office

SCHEDULES: Final = 1_000
CALLERS: Final = 200
CELLS: Final = ("a", "b", "c")


class Schedule:
    """One budget, and who spends it."""

    def __init__(self, office: OfficeFile, number: int, tasks: TaskGroup) -> None:
        self._office, self._random, self._tasks = office, random.Random(number), tasks  # noqa: S311 - schedules
        self.limit = self._random.randint(1_000, 100_000)
        self._window = Window(name=f"budget {number}", start=0.0, end=math.inf, limit=self.limit)
        self.spent = 0
        self._entries: dict[str, list[Entry]] = {cell: [] for cell in CELLS}
        self._number = number

    async def run(self) -> int:
        """Let all spend; return what they spent beyond the budget."""
        purses = {cell: self._purse(cell) for cell in CELLS}
        async with anyio.create_task_group() as callers:
            for at in range(CALLERS):
                cell = self._random.choice(CELLS)
                callers.start_soon(self._call, purses[cell], cell, at)
        for cell, entries in self._entries.items():
            await self._office.settle(cell, 1, entries)
        return max(0, self.spent - self.limit)

    def _purse(self, cell: str) -> Purse:
        async def ask(least: int, want: int, /, *, urgent: bool, back: Back) -> Money:
            request = LeaseRequest(
                cell=cell, epoch=1, actor=cell, least=least, want=want, windows=(self._window,), urgent=urgent,
                back=back,
            )  # fmt: skip
            found = await self._office.lease(request)
            if isinstance(found, Leased):
                return Money(lease=found.id, amount=found.amount)
            return Money(budget=found.window, limit=found.limit)

        return Purse(cell, ask, clock=SystemClock(), tasks=self._tasks)

    async def _call(self, purse: Purse, cell: str, at: int) -> None:
        worst = self._random.randint(1, self.limit // 20)
        with anyio.CancelScope() as scope:
            if not self._random.randrange(10):
                scope.cancel()
            try:
                hold = await purse.take(worst, until=math.inf)
            except (BudgetSpent, CallTooLarge):
                return
            await self._spend(purse, cell, at, hold)

    async def _spend(self, purse: Purse, cell: str, at: int, hold: Hold) -> None:
        cost = hold.amount
        try:
            for _ in range(self._random.randrange(5)):
                await anyio.lowlevel.checkpoint()
            cost = self._random.randint(0, hold.amount)
        finally:  # who is cancelled may have spent all of it
            self.spent += cost
            purse.settle(hold, cost)
            entry = Entry(id=f"{self._number}/{at}", at=0.0, actor=cell, cost=cost, lease=hold.lease.id)
            self._entries[cell].append(entry)


async def overspent() -> int:
    """Return the most that any schedule spent beyond its budget, in nano-dollars."""
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        async with (
            open_office(Path(folder), epoch=1, clock=SystemClock(), synchronous="NORMAL") as office,
            anyio.create_task_group() as tasks,
        ):
            worst = max([await Schedule(office, number, tasks).run() for number in range(SCHEDULES)])
            tasks.cancel_scope.cancel()
            return worst
    raise AssertionError("the block above returns")
