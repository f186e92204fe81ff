"""The scripted model: an API of OpenAI's form, as openai's own client sees it, that says and fails what it was told."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec
import openai
import pytest

from callboard.actors.llm.reply import Usage
from callboard.actors.llm.request import ToolCall
from callboard.actors.llm.scripted.fitting import fitting
from callboard.errors import CallerError
from callboard.testing import ScriptedModel

pytestmark = pytest.mark.anyio

HI: Final[Any] = {"model": "any", "messages": [{"role": "user", "content": "hi"}]}
ASK: Final = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Card(msgspec.Struct):
    number: str
    left: int


@asynccontextmanager
async def opened() -> AsyncGenerator[tuple[ScriptedModel, openai.AsyncOpenAI], None]:
    async with (
        ScriptedModel(models=("a", "b")) as model,
        openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0, timeout=5.0) as client,
    ):
        yield model, client


@asynccontextmanager
async def connected(model: ScriptedModel) -> AsyncGenerator[anyio.abc.SocketStream, None]:
    """Give a bare connection that has asked."""
    host, _, port = model.url.removeprefix("http://").removesuffix("/v1").partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(ASK)
        yield stream


async def whole(stream: anyio.abc.SocketStream) -> bytes:
    """Return all that comes until the other side ends it."""
    with anyio.fail_after(5.0):
        return b"".join([part async for part in stream])


async def wait_until(model: ScriptedModel, *, open_now: int) -> None:
    with anyio.fail_after(5.0):
        while model.open_now != open_now:
            await anyio.lowlevel.checkpoint()


class TestSaying:
    async def test_what_was_queued_is_said_in_order_and_after_it_ok(self) -> None:
        async with opened() as (model, client):
            model.say("one", usage=Usage(input=7, output=2, cached=3, reasoning=1))
            model.say(Card(number="12", left=3))
            answers = [await client.chat.completions.create(**HI) for _ in range(3)]
        assert [answer.choices[0].message.content for answer in answers] == ["one", '{"number":"12","left":3}', "ok"]
        usage = answers[0].usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 2, 9)
        assert usage.prompt_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == 3

    async def test_a_stream_says_the_same_in_pieces(self) -> None:
        async with opened() as (model, client):
            model.say("one two  three")
            stream = await client.chat.completions.create(**HI, stream=True, stream_options={"include_usage": True})
            chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "one two  three"
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-2:] == [None, "stop"]
        assert chunks[-1].usage is not None

    async def test_it_calls_tools_whole_and_streamed(self) -> None:
        calls = [ToolCall(id="c1", name="weather", arguments="{}"), ToolCall(id="c2", name="train", arguments="[")]
        async with opened() as (model, client):
            model.say(calls=calls)
            model.say(calls=calls)
            answer = await client.chat.completions.create(**HI)
            stream = await client.chat.completions.create(**HI, stream=True)
            parts = [
                part for chunk in [chunk async for chunk in stream] for part in chunk.choices[0].delta.tool_calls or ()
            ]
        assert answer.choices[0].finish_reason == "tool_calls"
        assert [call.to_dict()["id"] for call in answer.choices[0].message.tool_calls or ()] == ["c1", "c2"]
        assert [(part.index, part.id) for part in parts] == [(0, "c1"), (1, "c2")]

    async def test_a_function_answers_what_no_script_does(self) -> None:
        async with opened() as (model, client):
            model.answer = lambda body: body["messages"][-1]["content"].upper()
            model.say("first")
            answers = [await client.chat.completions.create(**HI) for _ in range(2)]
        assert [answer.choices[0].message.content for answer in answers] == ["first", "HI"]

    async def test_where_a_schema_is_asked_for_the_least_that_fits_is_said(self) -> None:
        form: Any = {"type": "json_schema", "json_schema": {"name": "card", "schema": msgspec.json.schema(Card)}}
        async with opened() as (_model, client):
            answer = await client.chat.completions.create(**HI, response_format=form)
        assert msgspec.json.decode(answer.choices[0].message.content or "", type=Card) == Card(number="", left=0)

    async def test_it_may_think_before_it_speaks(self) -> None:
        async with opened() as (model, client):
            model.say("late", after=0.1)
            begun = anyio.current_time()
            await client.chat.completions.create(**HI)
            assert anyio.current_time() - begun >= 0.1

    async def test_it_lists_its_models_and_knows_no_other_path(self) -> None:
        async with opened() as (_model, client):
            assert [row.id async for row in client.models.list()] == ["a", "b"]
            with pytest.raises(openai.NotFoundError):
                await client.embeddings.create(input="x", model="a")

    async def test_it_remembers_what_it_was_asked(self) -> None:
        async with opened() as (model, client):
            await client.chat.completions.create(**HI, temperature=0.5)
        asked = model.requests[0]
        assert asked.body == HI | {"temperature": 0.5}
        assert asked.headers["authorization"] == "Bearer none"


class TestFailing:
    async def test_a_status_has_its_words_and_when_to_come_again(self) -> None:
        async with opened() as (model, client):
            model.fail(429, code="slow_down", words="not so fast", retry_after=2.5)
            model.fail(429, retry_after=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
            for wait in ("2.5", "Fri, 02 Jan 2026 03:04:05 GMT"):
                with pytest.raises(openai.RateLimitError) as caught:
                    await client.chat.completions.create(**HI)
                assert caught.value.response.headers["retry-after"] == wait

    async def test_a_failure_is_told_as_often_as_was_said_and_then_it_is_over(self) -> None:
        async with opened() as (model, client):
            model.fail(500, times=2)
            for _ in range(2):
                with pytest.raises(openai.InternalServerError):
                    await client.chat.completions.create(**HI)
            await client.chat.completions.create(**HI)

    async def test_what_is_truncated_ends_before_the_length_that_it_named(self) -> None:
        async with ScriptedModel() as model:
            model.fail("truncated")
            async with connected(model) as stream:
                head, _, body = (await whole(stream)).partition(b"\r\n\r\n")
        assert int(head.partition(b"content-length: ")[2].split(b"\r")[0]) > len(body) > 0

    async def test_a_reset_is_one(self) -> None:
        async with ScriptedModel() as model:
            model.fail("reset")
            async with connected(model) as stream:
                with pytest.raises(anyio.BrokenResourceError):
                    await whole(stream)

    async def test_noise_is_sent_as_it_is(self) -> None:
        async with ScriptedModel() as model:
            model.fail("noise", noise=b"\x00\xff")
            async with connected(model) as stream:
                assert await whole(stream) == b"\x00\xff"

    async def test_what_drips_comes_byte_by_byte(self) -> None:
        async with opened() as (model, client):
            model.fail("dripping", seconds=0.0)
            assert (await client.chat.completions.create(**HI)).choices[0].message.content == "ok"

    @pytest.mark.parametrize(("kind", "finish", "choices"), [("cut", "length", 1), ("empty", None, 0)])
    async def test_what_is_cut_says_so_and_what_is_empty_has_no_choice(
        self, kind: Any, finish: str | None, choices: int
    ) -> None:
        async with opened() as (model, client):
            model.fail(kind)
            found = (await client.chat.completions.create(**HI)).choices
        assert len(found) == choices
        assert all(choice.finish_reason == finish for choice in found)

    async def test_one_that_stalls_is_at_work_until_the_client_hangs_up(self) -> None:
        async with ScriptedModel() as model:
            for kind, head in (("stalled", b"HTTP/1.1 200"), ("silent", b"")):
                model.fail(kind)  # type: ignore[arg-type]  # mypy takes the names in a tuple for any text
                async with connected(model) as stream:
                    await wait_until(model, open_now=1)
                    assert (await stream.receive()).startswith(head) if head else True
                await wait_until(model, open_now=0)


class TestGoing:
    async def test_one_that_left_cannot_be_reached_until_it_comes_back_to_the_same_place(self) -> None:
        async with opened() as (model, client):
            url = model.url
            await client.chat.completions.create(**HI)
            await model.leave()
            await model.leave()
            with pytest.raises(openai.APIConnectionError):
                await client.chat.completions.create(**HI)
            await model.come_back()
            assert model.url == url
            await client.chat.completions.create(**HI)

    async def test_leaving_drops_who_is_being_answered(self) -> None:
        async with ScriptedModel() as model:
            model.fail("silent")
            async with connected(model) as stream:
                await wait_until(model, open_now=1)
                await model.leave()
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            assert model.open_now == 0

    async def test_one_who_never_left_cannot_come_back(self) -> None:
        async with ScriptedModel() as model:
            with pytest.raises(CallerError, match="after it left"):
                await model.come_back()
        with pytest.raises(CallerError, match="inside its 'async with'"):
            await model.come_back()


class Deep(msgspec.Struct):
    name: str
    cards: tuple[Card, bool]
    kind: str | None
    again: "Deep | None" = None


@pytest.mark.parametrize(
    ("schema", "value"),
    [({"enum": ["b", "a"]}, "b"), ({"const": None}, None), ({"type": ["string", "null"], "minLength": 2}, "xx"),
     ({"type": "integer", "minimum": 3}, 3), ({"type": "number", "exclusiveMaximum": -2}, -3),
     ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]), ({}, None),
     ({"type": "object", "properties": {"a": {}}}, {}),
     ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, None)],
)  # fmt: skip
def test_the_least_that_fits_a_schema(schema: dict[str, Any], value: object) -> None:
    assert fitting(schema) == value


def test_the_least_that_fits_a_struct_can_be_decoded_as_one() -> None:
    made = json.dumps(fitting(msgspec.json.schema(Deep)))
    assert msgspec.json.decode(made, type=Deep).cards == (Card(number="", left=0), False)


async def test_an_answer_function_may_return_a_value_and_what_it_raises_is_raised_at_the_end() -> None:
    def answer(body: dict[str, Any]) -> object:
        if body["model"] == "bad":
            raise KeyError("ours")
        return Card(number="12", left=3)

    async def story() -> None:
        async with opened() as (model, client):
            model.answer = answer
            with pytest.raises(openai.InternalServerError, match="KeyError"):
                await client.chat.completions.create(**HI | {"model": "bad"})
            said.append((await client.chat.completions.create(**HI)).choices[0].message.content)

    said = list[str | None]()
    with pytest.raises(KeyError, match="ours"):
        await story()
    assert said == ['{"number":"12","left":3}']
