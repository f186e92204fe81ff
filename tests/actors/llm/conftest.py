"""A stage whose actors ask a scripted model, through a real office with a real file."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from callboard import Actor, ActorSpec, BudgetTable, LlmConfig, LlmTable, ModelTable, PriceTable, settle_llm
from callboard.actors.llm import EndpointTable
from callboard.store.office import CostRow, OfficeFile
from callboard.supervisor.office import OfficeState
from callboard.testing import ScriptedModel, Stage

PRICE = PriceTable(input=1.0, output=2.0)
"""A dollar for a million tokens read: a thousand nano-dollars each."""


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as scripted:
        scripted.answer = lambda _body: '{"type": "Rating", "stars": 4, "why": "it works"}'
        yield scripted


def config_of(
    url: str, *budgets: BudgetTable, models: tuple[ModelTable, ...] = (), own: dict[str, Any] | None = None,
    timeout: float = 5.0, cache_for: float = 86_400.0,
) -> LlmConfig:  # fmt: skip
    """Return the settings of a fleet with one model, ``scripted``, at one endpoint, ``here``."""
    first = ModelTable(name="scripted", endpoint="here", price=PRICE, **(own or {}))
    table = LlmTable(timeout=timeout, cache_for=cache_for)
    return settle_llm(table, [EndpointTable(name="here", url=url)], [first, *models], budgets)


Played = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def play(model: ScriptedModel) -> Played:
    """Return a stage with actors that ask the scripted model; by word of the test with budgets."""

    @asynccontextmanager
    async def played(
        *actors: type[Actor] | ActorSpec, budgets: tuple[BudgetTable, ...] = (), **llm: Any
    ) -> AsyncGenerator[Stage]:
        async with Stage(actors, llm=config_of(model.url, *budgets, **llm)) as stage:
            yield stage

    return played


async def office_of(stage: Stage) -> OfficeFile:
    """Return the office's file, once it has all that was reported."""
    for cell in stage.cells.values():
        if cell.endpoint.cell != "office":
            with anyio.fail_after(5.0):
                await cell.minds()._reporter.flushed()
    state: OfficeState = stage.host("office").spec.options
    return await state.file()


async def all_costs(stage: Stage) -> CostRow:
    """Return the sum of the ledger."""
    [row] = await (await office_of(stage)).costs()
    return row
