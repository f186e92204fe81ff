"""The server in this process is a right endpoint of OpenAI's form, and its end is clean and quick whatever it does."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import anyio.to_thread
import msgspec
import openai
import pytest

from callboard.actors.llm.typed import form_of, read_answer
from callboard.actors.models import ModelServerAbsent, ModelServerFailed, model_named, require
from callboard.actors.models.connections import shut
from callboard.actors.models.engine import Engine, Shape

pytestmark = pytest.mark.anyio

SHAPE: Final = Shape(context=8_192, slots=4, threads=1)
HELLO: Final[list[Any]] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Say hello."},
]
READING: Final[list[Any]] = [{"role": "user", "content": "word " * 1_000}]
QUICK: Final = 15.0
"""Seconds: far more than an answer takes, far less than the long ones would."""
LONG: Final[dict[str, Any]] = {
    "messages": HELLO,
    "max_tokens": 2_000,
    "temperature": 0,
    "extra_body": {"ignore_eos": True},
}
SILENT_AFTER: Final = 3.0


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a product."""

    name: Literal["server", "client"]


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a ticket is about."""

    kind: Literal["bug", "question", "praise"]
    urgent: bool
    about: Part | None


@pytest.fixture(scope="module")
def weights(models: Path) -> Path:
    return require(model_named("smollm2"), models) / "model.gguf"


@pytest.fixture(scope="module")
def engine(weights: Path) -> Generator[Engine]:
    made = Engine(weights, name="small", shape=SHAPE)
    yield made
    made.end()


@pytest.fixture
async def client(engine: Engine) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=engine.url, api_key=engine.key, max_retries=0, timeout=50.0) as opened:
        yield opened


async def ask_for_much(client: openai.AsyncOpenAI, words: Any = HELLO) -> None:
    await client.chat.completions.create(model="small", **(LONG | {"messages": words}))


async def until_cut(client: openai.AsyncOpenAI, words: Any = HELLO) -> None:
    """Ask for much, and hear that the server has gone."""
    with pytest.raises(openai.APIConnectionError):
        await ask_for_much(client, words)


async def until_all_is_taken(client: openai.AsyncOpenAI) -> None:
    """Return when a short question finds no slot for a while."""
    with suppress(openai.APITimeoutError):
        while True:
            await client.chat.completions.create(model="small", messages=HELLO, max_tokens=1, timeout=2.0)


async def fill(client: openai.AsyncOpenAI, slots: int) -> None:
    """Return when so many long answers have begun at once, and break them off; never, if not so many slots are free."""
    begun = [anyio.Event() for _ in range(slots)]

    async def begin(event: anyio.Event) -> None:
        async for piece in await client.chat.completions.create(model="small", stream=True, **LONG):
            if piece.choices and piece.choices[0].delta.content:
                event.set()

    async with anyio.create_task_group() as tasks:
        for event in begun:
            tasks.start_soon(begin, event)
        for event in begun:
            await event.wait()
        tasks.cancel_scope.cancel()


async def gap_while(done: anyio.Event) -> float:
    """Return the longest time, in seconds, for which the loop did not turn until `done`."""
    longest, last = 0.0, time.monotonic()
    while not done.is_set():
        await anyio.sleep(0.005)  # what is measured is how late this is
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


async def test_it_answers_and_says_what_was_used(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="small", messages=HELLO, max_tokens=12, temperature=0, seed=1)
    assert answer.choices[0].message.content
    assert answer.model == "small"
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 12
    assert [each.id async for each in client.models.list()] == ["small"]


async def test_a_typed_answer_fits_its_type(client: openai.AsyncOpenAI) -> None:
    form = form_of(Ticket)
    wish: Any = {"type": "json_schema", "json_schema": {"name": form.name, "schema": form.schema, "strict": True}}
    asked = "The server is down since this morning! What is this?"
    answer = await client.chat.completions.create(
        model="small", messages=[HELLO[0], {"role": "user", "content": asked}], response_format=wish, max_tokens=200,
        temperature=0,
    )  # fmt: skip
    assert isinstance(read_answer(Ticket, answer.choices[0].message.content or ""), Ticket)


async def test_a_stream_comes_in_pieces_and_ends_with_its_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="small", messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )  # fmt: skip
    pieces = [piece async for piece in stream]
    said = [piece.choices[0].delta.content for piece in pieces if piece.choices and piece.choices[0].delta.content]
    assert len(said) > 5
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens == 12


async def test_a_prompt_longer_than_its_share_is_refused(client: openai.AsyncOpenAI) -> None:
    words: Any = [{"role": "user", "content": "word " * SHAPE.context}]
    with pytest.raises(openai.BadRequestError, match="context"):
        await client.chat.completions.create(model="small", messages=words, max_tokens=5)


@pytest.mark.parametrize("key", ["wrong", "none"])
async def test_without_its_key_it_answers_nobody(engine: Engine, key: str) -> None:
    async with openai.AsyncOpenAI(base_url=engine.url, api_key=key, max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="small", messages=HELLO, max_tokens=5)


async def test_who_gives_up_on_a_stream_frees_the_slot(client: openai.AsyncOpenAI) -> None:
    for _ in range(3):
        with anyio.fail_after(QUICK):
            await fill(client, SHAPE.slots)


async def test_who_gives_up_on_an_answer_frees_the_slot_and_the_place_in_the_line(client: openai.AsyncOpenAI) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(2 * SHAPE.slots):
            tasks.start_soon(ask_for_much, client)
        await until_all_is_taken(client)
        tasks.cancel_scope.cancel()
    with anyio.fail_after(QUICK):
        await client.chat.completions.create(model="small", messages=HELLO, max_tokens=1)


async def test_the_loop_turns_while_it_loads_and_while_it_answers(weights: Path) -> None:
    done, gaps = anyio.Event(), list[float]()

    async def watch() -> None:
        gaps.append(await gap_while(done))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        engine = await anyio.to_thread.run_sync(lambda: Engine(weights, name="small", shape=SHAPE))
        async with openai.AsyncOpenAI(base_url=engine.url, api_key=engine.key, max_retries=0) as client:
            await client.chat.completions.create(model="small", messages=HELLO, max_tokens=50)
        await anyio.to_thread.run_sync(engine.end)
        done.set()
    assert gaps[0] < SILENT_AFTER


async def test_its_end_is_quick_also_while_it_answers(weights: Path) -> None:
    engine = await anyio.to_thread.run_sync(lambda: Engine(weights, name="small", shape=SHAPE))
    async with openai.AsyncOpenAI(base_url=engine.url, api_key=engine.key, max_retries=0) as client:
        async with anyio.create_task_group() as tasks:
            stream = await client.chat.completions.create(model="small", stream=True, **LONG)
            for words in (READING, *[HELLO] * SHAPE.slots):
                tasks.start_soon(until_cut, client, words)
            for _ in range(3):
                await anext(stream)
            with anyio.fail_after(QUICK):
                await anyio.to_thread.run_sync(engine.end)
                with pytest.raises(openai.APIConnectionError):
                    _ = [piece async for piece in stream]
        await until_cut(client)
    engine.end()


SCRIPT: Final = """
import sys, urllib.request
from pathlib import Path
from callboard.actors.models.engine import Engine, Shape

engine = Engine(Path(sys.argv[1]), name="small", shape=Shape(context=8192, slots=1, threads=1))
body = b'{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8000, "ignore_eos": true, "stream": true}'
head = {"Authorization": f"Bearer {engine.key}", "Content-Type": "application/json"}
answer = urllib.request.urlopen(urllib.request.Request(f"{engine.url}/chat/completions", body, head))
assert answer.readline().startswith(b"data: ")
print("generating", flush=True)
if sys.argv[2] == "raise":
    raise SystemExit(3)
"""


@pytest.mark.parametrize(("how", "code"), [("return", 0), ("raise", 3)])
def test_a_program_that_ends_while_it_answers_ends_cleanly(weights: Path, how: str, code: int) -> None:
    command = [sys.executable, "-c", SCRIPT, str(weights), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)
    assert (done.returncode, done.stdout) == (code, "generating\n"), done.stderr
    assert done.stderr == ""


def test_weights_that_are_none_are_an_error_that_says_so(tmp_path: Path) -> None:
    (bad := tmp_path / "model.gguf").write_bytes(b"GGUF" + b"\x00" * 1_000)
    with pytest.raises(ModelServerFailed, match="cannot be loaded, with 8192 tokens in 4 slots"):
        Engine(bad, name="small", shape=SHAPE)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelServerAbsent, match=r"pip install 'callboard\[local\]'"):
        Engine(tmp_path, name="small", shape=SHAPE)


def test_only_the_connections_of_one_port_are_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        pairs = [(socket.create_connection(each.getsockname()), each.accept()[0]) for each in (one, other)]
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many
        assert shut(one.getsockname()[1]) == 1
        assert len(os.listdir("/proc/self/fd")) == before, "no descriptor is left behind"  # noqa: PTH208 - the same
        assert pairs[0][0].recv(1) == b"", "its client hears of it"
        pairs[1][1].sendall(b"x")
        assert pairs[1][0].recv(1) == b"x", "the other one does not"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(one.getsockname())
        for ends in pairs:
            for end in ends:
                end.close()
