"""What can be read in ``office.db``: what was spent, on what, and how budgets stand."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from ..database import Database
from ..lock import OwnerLock
from . import costs, window_table
from .costs import By, CostRow, PromptRow, TokenRow
from .schema import OFFICE, path_of_office
from .window_table import Standing


class Ledger:
    """Of one fleet."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def costs(self, by: By = "", since: float = -math.inf, until: float = math.inf) -> list[CostRow]:
        """Return what was spent from `since` until before `until`: the dearest first, days in their order."""
        return await costs.costs(self.db, by, since, until)

    async def longest(self, limit: int = 20, since: float = -math.inf) -> list[PromptRow]:
        """Return the prompts with the most input tokens on average."""
        return await costs.longest(self.db, limit, since)

    async def tokens(self, since: float = -math.inf) -> list[TokenRow]:
        """Return the tokens of each model, so that they can be priced anew."""
        return await costs.tokens(self.db, since)

    async def windows(self, now: float, *, trees: int = 1000) -> list[Standing]:
        """Return how each open budget stands; of trees, which have no end, the newest ones."""
        return await self.db.read(lambda conn: window_table.standings(conn, now, trees))


@asynccontextmanager
async def open_ledger(state: Path) -> AsyncGenerator[Ledger, None]:
    """Read the file of a fleet that does not run, below the folder `state`.

    Raises:
        OwnerConflict: it runs.
        StoreError: and what else :meth:`Database.open` raises.

    """
    path = path_of_office(state)
    async with Database.open(path, migrations=OFFICE, synchronous="NORMAL", lock=OwnerLock(path)) as db:
        yield Ledger(db)
