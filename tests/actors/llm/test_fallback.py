"""Two endpoints: while one is silent or wants a rest, the other one answers."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from callboard import Actor, Context, EndpointTable, LlmTable, Message, ModelFailed, ModelTable, receive
from callboard.actors.llm import LOCAL, ModelDown, settle_llm
from callboard.actors.llm.calls.clients import LOCAL_WITHIN
from callboard.testing import ScriptedModel, Stage

from .conftest import PRICE, office_of

pytestmark = pytest.mark.anyio


class Ask(Message):
    what: str


class Text(Message):
    text: str


class Writer(Actor):
    @receive
    async def write(self, message: Ask, ctx: Context) -> Text:
        return Text(text=await ctx.llm.using(cache=False).text("Write of {{what}}", what=message.what))


@asynccontextmanager
async def two(first: ScriptedModel, *, timeout: float, **own: Any) -> AsyncGenerator[tuple[Stage, ScriptedModel]]:
    """Have a writer that asks `first`, and another model where that fails."""
    async with ScriptedModel() as second:
        second.answer = lambda _body: "from the second"
        config = settle_llm(
            LlmTable(timeout=timeout, default="one"),
            [EndpointTable(name="here", url=first.url), EndpointTable(name="there", url=second.url)],
            [
                ModelTable(name="one", endpoint="here", price=PRICE, fallback=("two",), **own),
                ModelTable(name="two", endpoint="there", price=PRICE),
            ],
        )
        async with Stage([Writer], llm=config) as stage:
            yield stage, second


async def write(stage: Stage) -> str:
    return (await stage.ask(Writer.write, Ask(what="it"), timeout=20.0)).text


@pytest.mark.parametrize("fault", ["silent", "stalled", "dripping"])
async def test_a_model_that_does_not_answer_leaves_time_for_its_fallback_and_is_soon_left_alone(
    model: ScriptedModel, fault: str
) -> None:
    model.fail(fault, seconds=0.2, times=10)  # type: ignore[arg-type]  # a kind
    async with two(model, timeout=0.9) as (stage, second):
        for _ in range(6):
            assert await write(stage) == "from the second"
        await stage.wait_event("model-down", "here")
        file = await office_of(stage)
        rows = await file.db.read(
            lambda conn: conn.execute("SELECT how, why FROM ledger WHERE endpoint = 'here'").fetchall()
        )
    assert len(second.requests) == 6
    assert len(model.requests) <= 5, "the breaker is open after four"
    assert set(rows) == {("failed", "model-stalled")}


@pytest.mark.parametrize("fault", [500, "reset", "html", "gone"])
async def test_a_model_that_fails_is_stood_in_for_at_once(model: ScriptedModel, fault: Any) -> None:
    if fault == "gone":
        await model.leave()
    else:
        model.fail(fault)
    async with two(model, timeout=10.0) as (stage, second):
        with anyio.fail_after(5.0):
            assert await write(stage) == "from the second"
    assert (len(model.requests), len(second.requests)) == (0 if fault == "gone" else 1, 1)


async def test_a_rest_of_one_does_not_keep_the_other_from_its_second_try(model: ScriptedModel) -> None:
    model.fail(429, retry_after=3_600.0)
    async with two(model, timeout=10.0) as (stage, second):
        second.fail(500)
        with anyio.fail_after(5.0):
            assert await write(stage) == "from the second"
    assert (len(model.requests), len(second.requests)) == (1, 2)


async def test_while_one_endpoint_wants_a_long_rest_the_other_is_asked_at_once(model: ScriptedModel) -> None:
    model.fail(429, retry_after=3_600.0)
    async with two(model, timeout=10.0) as (stage, second):
        with anyio.fail_after(5.0):
            for _ in range(4):
                assert await write(stage) == "from the second"
    assert (len(model.requests), len(second.requests)) == (1, 4)


async def test_a_model_whose_rate_does_not_come_in_its_part_of_the_time_is_stood_in_for(model: ScriptedModel) -> None:
    async with two(model, timeout=0.9, requests_per_minute=4.0) as (stage, second):
        for _ in range(3):
            await write(stage)
        file = await office_of(stage)
        rows = await file.db.read(lambda conn: conn.execute("SELECT how, served FROM ledger").fetchall())
    assert (len(model.requests), len(second.requests)) == (1, 2)
    assert rows == [("ok", "one"), ("ok", "two"), ("ok", "two")], "who was not asked cost nothing"


async def test_a_patience_of_ours_that_is_too_short_says_nothing_of_an_endpoint(model: ScriptedModel) -> None:
    async with two(model, timeout=0.1) as (stage, second):
        second.answer = None
        for scripted in (model, second):
            for _ in range(6):
                scripted.say("well", after=0.5)
        for _ in range(5):
            with pytest.raises(ModelFailed):
                await write(stage)
        assert stage.events_of("model-down") == []


async def test_a_model_in_the_box_that_does_not_say_where_it_is_keeps_nobody_else_waiting(
    model: ScriptedModel,
) -> None:
    box = EndpointTable(name=LOCAL, url="", sensitive=True)
    async with two(model, timeout=5.0) as (stage, _):
        minds, until = stage.cell_of("writer").minds(), anyio.current_time() + 60.0
        clients = minds._clients
        failed = 0

        async def ask_the_box() -> None:
            nonlocal failed
            with pytest.raises(ModelDown, match="does not run"):
                await clients.of(box, until=until)
            failed += 1

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask_the_box)
            await anyio.wait_all_tasks_blocked()
            await clients.of(minds.config.endpoint("there"), until=until)
            assert failed == 0
        assert failed == 5
        assert anyio.current_time() - began < 2 * LOCAL_WITHIN, "what one found out, all know"
