"""The door to models: right against a real HTTP server, and each fault is one typed error, in time, without the key."""

import logging
import math
import random
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

from callboard.actors.llm import ModelClient
from callboard.actors.llm.errors import (
    AnswerCut, BadAnswer, BadModelKey, BadModelRequest, ContextTooLong, ModelBusy, ModelDown, ModelStalled,
    UnknownModelName,
)  # fmt: skip
from callboard.actors.llm.question import is_strict
from callboard.actors.llm.reply import Piece, Reply, Usage
from callboard.actors.llm.request import AnswerForm, Request, ToolCall, ToolForm, Turn
from callboard.actors.llm.tables import EndpointTable
from callboard.errors import CallboardError
from callboard.testing import ScriptedModel

pytestmark = pytest.mark.anyio

KEY: Final = "sk-very-secret-0123456789"
MODEL: Final = "small-1"
WITHIN: Final = 0.4
CITY: Final = ToolForm(name="weather", about="Tells the weather.", parameters={"type": "object", "properties": {}})


def request(**changes: Any) -> Request:
    values: dict[str, Any] = {"model": MODEL, "turns": (Turn(role="user", content="Where is my card?"),), "most": 50}
    return Request(**(values | changes))


@asynccontextmanager
async def opened(**table: Any) -> AsyncGenerator[tuple[ScriptedModel, ModelClient], None]:
    async with ScriptedModel() as model:
        client = ModelClient(EndpointTable(**({"name": "there", "url": model.url} | table)), key=KEY)
        try:
            yield model, client
        finally:
            await client.aclose()


async def ask(client: ModelClient, *, within: float = WITHIN) -> Reply:
    return await client.ask(request(), within=within)


async def read(client: ModelClient, *, within: float = WITHIN, idle: float = 5.0) -> list[Piece]:
    async with client.stream(request(), within=within, idle=idle) as pieces:
        return [piece async for piece in pieces]


WAYS: Final = {"ask": ask, "stream": read}


async def error_of(client: ModelClient, way: str = "ask") -> CallboardError:
    """Return the error of one call, which must come in time and leave no connection behind."""
    begun = anyio.current_time()
    with pytest.raises(CallboardError) as caught:
        await WAYS[way](client)
    assert anyio.current_time() - begun <= WITHIN + 1.0
    assert client.in_use == 0
    return caught.value


class TestAsking:
    async def test_a_whole_answer_comes_with_its_usage_and_who_gave_it(self) -> None:
        async with opened() as (model, client):
            usage = Usage(input=10, output=3, cached=4, reasoning=1)
            model.say("In the post.", usage=usage)
            assert await ask(client) == Reply(text="In the post.", served=MODEL, usage=usage)

    async def test_a_request_is_sent_as_the_api_wants_it(self) -> None:
        call = ToolCall(id="c1", name="weather", arguments="{}")
        turns = (
            Turn(role="system", content="Be short."), Turn(role="user", content="a\ud800b"),
            Turn(role="assistant", calls=(call,)), Turn(role="tool", content="rain", answers="c1"),
        )  # fmt: skip
        form = AnswerForm(name="card", schema={"type": "object", "properties": {}, "additionalProperties": False})
        async with opened() as (model, client):
            extra = {"top_p": 0.5, "max_completion_tokens": 9_999}
            await client.ask(request(turns=turns, seed=7, form=form, tools=(CITY,), extra=extra), within=1.0)
            body = model.requests[0].body
        assert body.pop("messages") == [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "a\\ud800b"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "content": "rain", "tool_call_id": "c1"},
        ]  # fmt: skip
        function = {"name": "weather", "description": "Tells the weather.", "parameters": CITY.parameters}
        assert body == {
            "model": MODEL, "temperature": 0.0, "seed": 7, "top_p": 0.5, "max_completion_tokens": 50,
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "card", "schema": form.schema, "strict": True}},
            "tools": [{"type": "function", "function": function}],
        }  # fmt: skip

    async def test_the_limit_of_tokens_has_the_name_that_the_endpoint_knows_and_no_temperature_is_none_sent(
        self,
    ) -> None:
        async with opened(output_limit="max_tokens") as (model, client):
            await client.ask(request(temperature=None), within=1.0)
            assert model.requests[0].body.keys() == {"model", "messages", "max_tokens"}

    async def test_the_key_goes_along_and_nothing_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            monkeypatch.setenv(name, "sk-other")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Their-Key: sk-other\nAuthorization: Bearer sk-other")
        async with opened() as (model, client):
            await ask(client)
            assert model.requests[0].headers["authorization"] == f"Bearer {KEY}"
            assert "sk-other" not in repr(model.requests[0].headers)

    async def test_calls_of_tools_come_back_as_the_model_wrote_them(self) -> None:
        calls = (ToolCall(id="c1", name="weather", arguments='{"city": 1}'), ToolCall(id="c2", name="x", arguments="?"))
        async with opened() as (model, client):
            model.say(calls=calls)
            assert (await ask(client)).calls == calls

    async def test_where_tools_are_unknown_they_are_asked_for_by_schema(self) -> None:
        async with opened(tools="schema") as (model, client):
            model.say({"tool": "weather", "arguments": {"city": "Ulm"}})
            reply = await client.ask(request(tools=(CITY,)), within=1.0)
            assert "tools" not in model.requests[0].body
        assert reply.calls == (ToolCall(id="call_0", name="weather", arguments='{"city":"Ulm"}'),)

    async def test_after_closing_it_opens_anew(self) -> None:
        async with opened() as (_model, client):
            await ask(client)
            await client.aclose()
            await client.aclose()
            assert (await ask(client)).text == "ok"

    async def test_calls_one_after_the_other_share_a_connection(self) -> None:
        async with opened() as (model, client):
            for _ in range(5):
                await ask(client)
                await read(client)
            assert model.accepted == 1

    async def test_usage_that_is_nonsense_does_not_cost_the_answer(self) -> None:
        async with opened() as (model, client):
            body = b'{"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": -3}}'
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            model.fail("noise", noise=head + body)
            assert await ask(client) == Reply(text="hi")


class TestStreaming:
    async def test_pieces_come_one_by_one_and_the_last_has_finish_and_usage(self) -> None:
        usage = Usage(input=10, output=3)
        async with opened() as (model, client):
            model.say("one two three", usage=usage)
            *texts, last = await read(client)
        assert [piece.text for piece in texts] == ["one ", "two ", "three"]
        assert last == Piece(finish="stop", served=MODEL, usage=usage)

    async def test_no_limit_runs_while_the_reader_has_a_piece_in_hand(self) -> None:
        async with opened() as (model, client):
            model.say("one two")
            async with client.stream(request(), within=5.0, idle=0.05) as pieces:
                async for _piece in pieces:
                    with anyio.move_on_after(0.06) as scope:  # longer than the idle limit
                        await anyio.sleep_forever()
                    assert scope.cancelled_caught

    async def test_one_who_stops_reading_gives_the_connection_back(self) -> None:
        async with opened() as (model, client):
            model.fail("dripping", seconds=0.01)
            async with client.stream(request(), within=5.0, idle=5.0) as pieces:
                assert client.in_use == 1
                assert pieces is not None
            assert client.in_use == 0

    async def test_what_came_before_a_fault_is_given_first(self) -> None:
        seen: list[str] = []
        async with opened() as (model, client):
            model.answer = lambda _body: "one two three four"
            model.fail("cut")
            with pytest.raises(AnswerCut) as caught:
                async with client.stream(request(), within=1.0, idle=1.0) as pieces:
                    async for piece in pieces:
                        seen.append(piece.text)
        assert "".join(seen) == "one two t"
        assert caught.value.reply is not None
        assert (caught.value.reply.text, caught.value.reply.usage is None) == ("one two t", False)

    async def test_a_silence_longer_than_idle_ends_it(self) -> None:
        async with opened() as (model, client):
            model.fail("stalled")
            with pytest.raises(ModelStalled, match=r"was silent for 0\.05 s"):
                await read(client, within=5.0, idle=0.05)

    async def test_tools_are_not_streamed(self) -> None:
        async with opened() as (_model, client):
            with pytest.raises(BadModelRequest, match="ask for the whole"):
                client.stream(request(tools=(CITY,)), within=1.0, idle=1.0)


REFUSALS: Final[list[tuple[int, str, str, type[CallboardError]]]] = [
    (401, "", "who are you", BadModelKey), (403, "", "not you", BadModelKey), (404, "", "gone", UnknownModelName),
    (400, "context_length_exceeded", "", ContextTooLong), (400, "", "maximum context length is 4", ContextTooLong),
    (400, "", "the request exceeds the available context size", ContextTooLong),
    (413, "", "prompt is too long: 9 tokens", ContextTooLong), (413, "", "too large", BadModelRequest),
    (422, "", "no such field", BadModelRequest), (400, "", "no", BadModelRequest), (402, "", "pay", BadModelRequest),
    (429, "rate_limit_exceeded", "slow down", ModelBusy), (429, "insufficient_quota", "pay", BadModelRequest),
    (500, "", "oops", ModelDown), (503, "", "loading", ModelDown), (408, "", "late", ModelDown),
    (307, "", "elsewhere", BadModelRequest),
]  # fmt: skip
BROKEN: Final[dict[Any, type[CallboardError]]] = {
    "html": BadAnswer, "garbage": BadAnswer, "empty": BadAnswer, "nothing": BadAnswer, "refusal": BadAnswer,
    "huge": BadAnswer, "cut": AnswerCut, "noise": ModelDown, "truncated": ModelDown, "reset": ModelDown,
    "stalled": ModelStalled, "silent": ModelStalled, "dripping": ModelStalled,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
class TestFailing:
    @pytest.mark.parametrize(("status", "code", "words", "kind"), REFUSALS)
    async def test_a_refusal_is_an_error_by_its_fault_and_costs_nothing(
        self, way: str, status: int, code: str, words: str, kind: type[CallboardError]
    ) -> None:
        async with opened() as (model, client):
            model.fail(status, code=code, words=words)
            error = await error_of(client, way)
        assert type(error) is kind
        assert str(status) in error.text
        assert error.detail | {"wait": 0} == {"endpoint": "there", "model": MODEL, "cost": "nothing", "wait": 0}

    @pytest.mark.parametrize(("fault", "kind"), BROKEN.items())
    async def test_a_broken_answer_is_an_error_in_time_and_may_have_cost(
        self, way: str, fault: Any, kind: type[CallboardError]
    ) -> None:
        async with opened() as (model, client):
            model.fail(fault)
            error = await error_of(client, way)
            assert type(error) is kind
            assert error.detail == {"endpoint": "there", "model": MODEL, "cost": "unknown"}
            await WAYS[way](client, within=2.0)

    async def test_an_answer_that_ends_in_the_middle_is_no_answer(self, way: str) -> None:
        async with opened() as (model, client):
            model.fail("closed_stream")
            assert isinstance(await error_of(client, way), BadAnswer if way == "ask" else ModelDown)

    async def test_an_endpoint_that_was_pulled_away_is_down_and_serves_again_when_it_is_back(self, way: str) -> None:
        async with opened() as (model, client):
            await WAYS[way](client)
            await model.leave()
            error = await error_of(client, way)
            assert isinstance(error, ModelDown)
            assert error.detail["cost"] == "nothing"
            await model.come_back()
            await WAYS[way](client)

    async def test_one_without_tls_is_down_for_who_wants_tls(self, way: str) -> None:
        async with ScriptedModel() as model:
            client = ModelClient(EndpointTable(name="there", url=model.url.replace("http", "https")), key=KEY)
            error = await error_of(client, way)
            await client.aclose()
        assert isinstance(error, ModelDown)
        assert error.detail["cost"] == "nothing"

    @pytest.mark.parametrize("url", ["ftp://there/v1", "there", "http://", "http://[::1"])
    async def test_what_is_no_address_is_told_at_the_call(self, way: str, url: str) -> None:
        client = ModelClient(EndpointTable(name="there", url=url), key=KEY)
        assert (await error_of(client, way)).detail["cost"] == "nothing"
        await client.aclose()

    async def test_an_answer_packed_without_being_asked_is_not_unpacked(self, way: str) -> None:
        async with opened() as (model, client):
            model.fail("noise", noise=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
            assert "encoding" in (await error_of(client, way)).text

    async def test_an_error_sent_with_200_is_the_endpoints_failure(self, way: str) -> None:
        body = b'data: {"error": {"message": "overloaded"}}\n\n' if way == "stream" else b'{"error": "overloaded"}'
        async with opened() as (model, client):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            model.fail("noise", noise=head + body)
            error = await error_of(client, way)
        assert isinstance(error, ModelDown)
        assert "overloaded" in error.text

    async def test_a_refusal_whose_words_do_not_end_is_told_all_the_same(self, way: str) -> None:
        async with opened() as (model, client):
            model.fail("noise", noise=b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 999\r\n\r\n{")
            error = await error_of(client, way)
        assert isinstance(error, ModelBusy)
        assert error.wait == 7.0


async def test_what_cannot_be_sent_is_the_callers_fault() -> None:
    async with opened() as (model, client):
        for extra in ({"x": object()}, {"x": math.nan}):
            with pytest.raises(BadModelRequest, match="cannot be asked this"):
                await client.ask(request(extra=extra), within=1.0)
        assert model.requests == []


async def test_an_answer_of_no_use_comes_along_with_what_it_has_cost() -> None:
    usage = Usage(input=5, output=2)
    async with opened() as (model, client):
        model.say("half an ans", usage=usage, finish="length")
        model.say("", usage=usage)
        for text in ("half an ans", ""):
            error = await error_of(client)
            assert isinstance(error, BadAnswer)
            assert error.reply == Reply(text=text, served=MODEL, usage=usage)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [("Retry-After: 2.5", 2.5), ("Retry-After: 99999", 3600.0), ("Retry-After: soon", 0.0), ("Retry-After: nan", 0.0),
     ("Retry-After: -4", 0.0), ("Retry-After-Ms: 1500\r\nRetry-After: 9", 1.5), ("X: y", 0.0),
     ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Retry-After: Wed, 21 Oct 9015 07:28:00 GMT", 3600.0)],
)  # fmt: skip
async def test_one_that_is_busy_says_for_how_long_and_never_more_than_an_hour(headers: str, wait: float) -> None:
    async with opened() as (model, client):
        model.fail("noise", noise=f"HTTP/1.1 429 No\r\n{headers}\r\nContent-Length: 0\r\n\r\n".encode())
        error = await error_of(client)
    assert isinstance(error, ModelBusy)
    assert error.wait == wait


async def test_one_that_is_busy_may_name_a_date() -> None:
    async with opened() as (model, client):
        model.fail(429, retry_after=datetime.now(UTC) + timedelta(seconds=100))
        error = await error_of(client)
    assert isinstance(error, ModelBusy)
    assert 95 < error.wait <= 100


def holds_key(error: BaseException) -> list[str]:
    """Return where in an error the key is: text, detail, what it came from, and the variables of its frames."""
    found: list[str] = []
    for at, each in enumerate((error, error.__cause__, error.__context__)):
        if each is not None and KEY in repr((str(each), each, vars(each), each.args)):
            found.append(f"text of {at}")
    for frame, _line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename != __file__ and KEY in repr(frame.f_locals):
            found.append(frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name)
    return found


@pytest.mark.parametrize("way", WAYS)
async def test_a_key_is_in_no_error_and_no_log_whatever_happens(way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    event = b"data: " if way == "stream" else b""
    echo = event + b'{"error": "bad key ' + KEY.encode() + b'"}\n\n'
    answers = [echo, event + b'{"' + KEY.encode() + b'": \xff}\n\n', event + f'{{"choices": "{KEY}"}}\n\n'.encode()]
    async with opened() as (model, client):
        for status in (301, 400, 401, 403, 404, 413, 429, 500):
            model.fail(status, words=f"no {KEY} {'x' * 150}{KEY}", code=KEY)
        for kind in BROKEN:
            model.fail(kind)
        for body in answers:
            model.fail("noise", noise=f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        for _ in range(8 + len(BROKEN) + len(answers)):
            error = await error_of(client, way)
            assert holds_key(error) == [], error
            assert error.__cause__ is None
            assert error.__context__ is None
        await model.leave()
        assert holds_key(await error_of(client, way)) == []
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", ["kéy-very-secret", "sk-very\nsecret"])
async def test_a_key_that_is_no_header_is_in_no_error_either(key: str) -> None:
    async with ScriptedModel() as model:
        client = ModelClient(EndpointTable(name="there", url=model.url), key=key)
        error = await error_of(client)
        assert "secret" not in repr((error.text, error.detail, error.__context__, error.__cause__))
        assert error.detail["cost"] == "nothing"
        await client.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_a_thousand_cancels_at_any_moment_leave_no_connection_in_use(way: str) -> None:
    moments = random.Random(7)  # noqa: S311 - no secret
    async with opened() as (model, client):
        model.answer = lambda _body: "one two three four"

        async def cancelled(turns: int) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(WAYS[way], client)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

        for number in range(250):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(cancelled, moments.randrange(60))
            assert client.in_use == 0, number
        await WAYS[way](client, within=2.0)
        assert client.in_use == 0


def test_a_form_is_promised_only_where_the_endpoint_can_keep_it() -> None:
    closed = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    assert is_strict({"$defs": {"x": closed}, "anyOf": [closed, {"type": "array", "items": closed}]})
    assert not is_strict(closed | {"required": []})
    assert not is_strict({"anyOf": [closed, {"type": "object"}]})
