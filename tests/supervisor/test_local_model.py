"""The model in the box is an actor like another: found by a message, ended with its cell, back after a kill."""

import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import openai
import pytest
from rich.pretty import pretty_repr

from callboard import Fleet
from callboard.actors.actor import build
from callboard.actors.models import (
    LocalModel,
    LocalModelOptions,
    ModelAbsent,
    ModelAt,
    WhereModel,
    spec_of_local_model,
)
from callboard.errors import CallboardError
from callboard.supervisor.messages import ListActors
from callboard.supervisor.service import Supervisor
from callboard.testing import Stage

pytestmark = pytest.mark.anyio

SMALL: Final = spec_of_local_model(LocalModelOptions(context=4_096, slots=2))
HELLO: Final[list[Any]] = [{"role": "user", "content": "Say hello."}]
LONG: Final[dict[str, Any]] = {"messages": HELLO, "max_tokens": 2_000, "extra_body": {"ignore_eos": True}}


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]  # pytest uses it
    if not os.environ.get("CALLBOARD_MODELS"):
        monkeypatch.setenv("CALLBOARD_MODELS", str(Path(__file__).parents[2] / ".models"))


@asynccontextmanager
async def client_of(where: ModelAt) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=where.url, api_key=where.key, max_retries=0, timeout=40.0) as opened:
        yield opened


async def is_answered(where: ModelAt) -> bool:
    async with client_of(where) as client:
        answer = await client.chat.completions.create(model=where.model, messages=HELLO, max_tokens=5)
    return bool(answer.choices[0].message.content)


async def test_it_says_where_the_model_is_and_the_model_answers_there() -> None:
    async with Stage([SMALL]) as stage:
        where = await stage.ask(LocalModel.where, WhereModel(), timeout=40.0)
        assert (where.model, where.context) == ("smollm2", 2_048)
        assert await is_answered(where)
        for text in (repr(where), str(where), f"{[where]}", pretty_repr(where)):
            assert where.url in text
            assert where.key not in text


async def test_it_ends_with_its_cell_while_it_answers() -> None:
    async with AsyncExitStack() as after:
        async with Stage([SMALL]) as stage:
            where = await stage.ask(LocalModel.where, WhereModel(), timeout=40.0)
            client = await after.enter_async_context(client_of(where))
            answer = await client.chat.completions.create(model=where.model, stream=True, **LONG)
            await anext(answer)
            began = time.monotonic()
        assert time.monotonic() - began < SMALL.health.drain_for
        with pytest.raises(openai.APIConnectionError):
            _ = [piece async for piece in answer]


async def test_where_its_files_are_absent_it_says_what_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_MODELS", str(tmp_path))
    nowhere: Any = None
    with pytest.raises(ModelAbsent, match="callboard model fetch smollm2"):
        await build(LocalModel, LocalModelOptions()).started(nowhere)


async def pid_of(fleet: Fleet) -> int:
    rows = await fleet.ask(Supervisor.actors, ListActors(), timeout=10.0)
    return next(row.pid for row in rows.rows if row.actor == "local-model")


async def test_after_a_kill_while_it_answers_it_is_back_at_another_place() -> None:
    async with Fleet("box", [SMALL], isolation="process") as fleet:
        first = await fleet.ask(LocalModel.where, WhereModel(), timeout=40.0)
        async with client_of(first) as client:
            answer = await client.chat.completions.create(model=first.model, stream=True, **LONG)
            await anext(answer)
            os.kill(await pid_of(fleet), signal.SIGKILL)
            with pytest.raises(openai.APIConnectionError):
                _ = [piece async for piece in answer]
        second = await where_now(fleet)
        assert second.url != first.url
        assert second.key != first.key
        assert await is_answered(second)


async def where_now(fleet: Fleet) -> ModelAt:
    """Ask again until the cell is back."""
    with anyio.fail_after(40.0):
        while True:
            try:
                return await fleet.ask(LocalModel.where, WhereModel(), timeout=10.0)
            except CallboardError:
                await anyio.lowlevel.checkpoint()
