"""Two hundred callers at once on the last dollar, in cells that die: what is really spent never passes the limit."""

import random
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from callboard.clock import SystemClock
from callboard.store.office import Entry, Leased, OfficeFile, Window

from .purse import entry, opened, request, rows, wrong

pytestmark = pytest.mark.anyio
CALLERS = 200
DOLLAR = 10**9
AT_ONCE = 4
"""Schedules that share the file's thread, each with budgets of its own: it passes the time of all."""


class Shop:
    """One schedule: cells whose callers lease, call a model, and settle, at moments of their own."""

    def __init__(self, office: OfficeFile, seed: int) -> None:
        self.office, self.chance = office, random.Random(seed)  # noqa: S311 - a reproducible choice
        self.seed = seed
        self.really = 0
        """What models were asked for, whether or not anybody lived to tell."""
        self.calls = self.refused = 0
        self.by_call = self.chance.random() < 0.5
        """Whether a lease is for exactly one call, or a block."""
        self.untold = dict[str, tuple[int, Entry]]()
        """Calls that were made and whose cost is not known to the office, and their cells."""
        self.limit = self.chance.randint(1, DOLLAR)
        self.windows = tuple(
            Window(name=f"{seed}/{name}", start=0.0, end=1e12, limit=limit)
            for name, limit in (("fleet", self.limit), ("actor", self.limit + self.chance.randint(0, DOLLAR)))
        )
        self.lives = dict.fromkeys(range(self.chance.randint(1, 4)), 1)
        self.scopes = dict[int, anyio.CancelScope]()

    async def run(self) -> None:
        share, rest = divmod(CALLERS, len(self.lives))
        async with anyio.create_task_group() as tasks:
            for cell in self.lives:
                tasks.start_soon(self.cell, cell, share + (rest if cell == 0 else 0))
        for cell, life in self.lives.items():
            await self.office.bury(f"{self.seed}/{cell}", life + 1)

    async def cell(self, cell: int, callers: int) -> None:
        """Let callers run; some cells die under them, are buried, and live again with those that are left."""
        dies = self.chance.random() < 0.5
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(callers):
                    tasks.start_soon(self.caller, cell)
                if dies:
                    await self.pause(30)
                    scope.cancel()
        if dies:
            self.lives[cell] += 1
            await self.office.bury(f"{self.seed}/{cell}", self.lives[cell])
            late = [one for where, one in self.untold.values() if where == cell and self.chance.random() < 0.5]
            await self.office.settle(f"{self.seed}/{cell}", self.lives[cell], late)
            async with anyio.create_task_group() as tasks:
                for _ in range(callers // 4):
                    tasks.start_soon(self.caller, cell)

    async def caller(self, cell: int) -> None:
        """Make up to two calls with one lease, as a cell does with a block; then perhaps trade its rest for another."""
        name, life = f"{self.seed}/{cell}", self.lives[cell]
        await self.pause(2)
        back = await self.spend(cell, ())
        if back and self.chance.random() < 0.5:
            back = await self.spend(cell, back) or back
        if back and self.chance.random() < 0.8:
            await self.office.give_back(name, life, [lease for lease, _ in back])

    async def spend(self, cell: int, back: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """Lease, and make up to two calls; return what the lease was used for in all."""
        name, life = f"{self.seed}/{cell}", self.lives[cell]
        least = self.chance.randint(0, self.limit // 20)
        want = least if self.by_call else self.chance.randint(0, self.limit)
        wanted = request(*self.windows, least=least, want=want, cell=name, epoch=life, back=back)
        money = await self.office.lease(wanted)
        if not isinstance(money, Leased):
            self.refused += 1
            return ()
        left = money.amount
        for _ in range(self.chance.randint(0, 2)):
            cost = self.chance.randint(0, left)
            left -= cost
            self.really += cost
            self.calls += 1
            assert self.really <= self.limit
            told = entry(money.id, cost)
            self.untold[told.id] = (cell, told)
            await self.pause(1)
            await self.office.settle(name, life, [told])
            del self.untold[told.id]
        return ((money.id, money.amount - left),)

    async def pause(self, most: int) -> None:
        for _ in range(self.chance.randint(0, most)):
            await checkpoint()


async def run_schedules(folder: Path, count: int) -> None:
    seed = random.randrange(1 << 30)  # noqa: S311 - told if it fails
    shops = list[Shop]()
    async with opened(folder, SystemClock()) as office:
        for begin in range(seed, seed + count, AT_ONCE):
            some = [Shop(office, each) for each in range(begin, begin + AT_ONCE)]
            async with anyio.create_task_group() as tasks:
                for shop in some:
                    tasks.start_soon(shop.run)
            shops += some
        found = {name: sums for name, *sums in await rows(office, "SELECT name, spent, reserved, beyond FROM windows")}
        assert await office.db.read(wrong) == []
    for shop in shops:
        spent, *others = found[f"{shop.seed}/fleet"]
        assert shop.really <= spent <= shop.limit, f"seed {shop.seed}"
        assert others == [0, 0], f"seed {shop.seed}: all are buried, and nothing was beyond a lease"
    assert min(sum(shop.calls for shop in shops), sum(shop.refused for shop in shops)) > 10 * count, "no last dollar"


async def test_a_thousand_schedules_spend_nothing_beyond_the_limit(tmp_path: Path) -> None:
    await run_schedules(tmp_path, 1000)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_twenty_thousand_schedules_spend_nothing_beyond_the_limit(tmp_path: Path) -> None:
    await run_schedules(tmp_path, 20_000)
