"""What tests of the client for models share: a scripted model, a client that asks it, and its errors looked over."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import pytest

from callboard.actors.llm import ModelClient
from callboard.actors.llm.reply import Piece, Reply
from callboard.actors.llm.request import Request, Turn
from callboard.actors.llm.tables import EndpointTable
from callboard.errors import CallboardError
from callboard.testing import ScriptedModel

KEY: Final = "sk-very-secret-0123456789"
MODEL: Final = "small-1"
WITHIN: Final = 0.5
"""Seconds for a call that is to run out of time."""
PLENTY: Final = 10.0
"""Seconds for any other, also where the machine has a lot to do."""
WAYS: Final = ("ask", "stream")


def request(**changes: Any) -> Request:
    """Return a small request."""
    values: dict[str, Any] = {"model": MODEL, "turns": (Turn(role="user", content="Where is my card?"),), "most": 50}
    return Request(**(values | changes))


@asynccontextmanager
async def opened(**table: Any) -> AsyncGenerator[tuple[ScriptedModel, ModelClient], None]:
    """Give a model and its client."""
    async with ScriptedModel() as model:
        values: dict[str, Any] = {"name": "there", "url": model.url}
        client = ModelClient(EndpointTable(**(values | table)), key=KEY)
        await client._opener.client()  # what a first call has to wait for
        try:
            yield model, client
        finally:
            await client.aclose()


async def ask(client: ModelClient, *, within: float = PLENTY) -> Reply:
    """Ask for the whole."""
    return await client.ask(request(), within=within)


async def read(client: ModelClient, *, within: float = PLENTY, idle: float = PLENTY) -> list[Piece]:
    """Read a stream to its end."""
    async with client.stream(request(), within=within, idle=idle) as pieces:
        return [piece async for piece in pieces]


async def call(client: ModelClient, way: str, *, within: float = PLENTY) -> None:
    """Ask in one of the ways."""
    await (ask if way == "ask" else read)(client, within=within)


async def error_of(client: ModelClient, way: str = "ask", *, within: float = PLENTY) -> CallboardError:
    """Return the error of one call, which must come in time and leave no connection behind."""
    begun = anyio.current_time()
    with pytest.raises(CallboardError) as caught:
        await call(client, way, within=within)
    assert anyio.current_time() - begun <= within + 1.0
    assert client.in_use == 0
    return caught.value


def answering(body: bytes, *, head: str = "200 OK") -> bytes:
    """Return an answer as bytes; `head` is the status, with headers on lines of their own."""
    return f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
