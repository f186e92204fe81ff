"""The client for models, against a real HTTP server: what is sent, what comes back, and what comes in pieces."""

from collections.abc import AsyncIterator
from typing import Final

import anyio
import pytest

from callboard.actors.llm.door.body import is_strict
from callboard.actors.llm.errors import (
    AnswerCut,
    BadModelRequest,
    ModelStalled,
)
from callboard.actors.llm.reply import Piece, Reply, Usage
from callboard.actors.llm.request import AnswerForm, ToolCall, ToolForm, Turn

from .asking import KEY, MODEL, PLENTY, answering, ask, opened, read, request

pytestmark = pytest.mark.anyio

CITY: Final = ToolForm(name="weather", about="Tells the weather.", parameters={"type": "object", "properties": {}})


async def listen(pieces: AsyncIterator[Piece], seen: list[str]) -> None:
    """Add to `seen` what is said, as it is said."""
    async for piece in pieces:
        seen.append(piece.text)  # noqa: PERF401 - a list that is made at the end would not have what came before a fault


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
            await client.ask(request(turns=turns, seed=7, form=form, tools=(CITY,), extra=extra), within=PLENTY)
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
            await client.ask(request(temperature=None), within=PLENTY)
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
            reply = await client.ask(request(tools=(CITY,)), within=PLENTY)
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
            model.fail("noise", noise=answering(body))
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
            async with client.stream(request(), within=PLENTY, idle=0.4) as pieces:
                await anext(pieces)
                with anyio.move_on_after(0.5) as scope:  # longer than the idle limit
                    await anyio.sleep_forever()
                assert scope.cancelled_caught
                assert [piece.text async for piece in pieces] == ["two", ""]

    async def test_one_who_stops_reading_gives_the_connection_back(self) -> None:
        async with opened() as (model, client):
            model.fail("dripping", seconds=0.01)
            async with client.stream(request(), within=PLENTY, idle=PLENTY) as pieces:
                assert client.in_use == 1
                assert pieces is not None
            assert client.in_use == 0

    async def test_what_came_before_a_fault_is_given_first(self) -> None:
        seen: list[str] = []
        async with opened() as (model, client):
            model.answer = lambda _body: "one two three four"
            model.fail("cut")
            async with client.stream(request(), within=PLENTY, idle=PLENTY) as pieces:
                with pytest.raises(AnswerCut) as caught:
                    await listen(pieces, seen)
                assert [piece async for piece in pieces] == []
        assert "".join(seen) == "one two t"
        assert caught.value.reply is not None
        assert (caught.value.reply.text, caught.value.reply.usage is None) == ("one two t", False)

    async def test_a_silence_longer_than_idle_ends_it(self) -> None:
        async with opened() as (model, client):
            model.fail("stalled")
            with anyio.fail_after(PLENTY), pytest.raises(ModelStalled, match=r"was silent for 0\.05 s"):
                await read(client, within=60.0, idle=0.05)

    async def test_tools_are_not_streamed(self) -> None:
        async with opened() as (_model, client):
            with pytest.raises(BadModelRequest, match="ask for the whole"):
                client.stream(request(tools=(CITY,)), within=PLENTY, idle=PLENTY)


def test_a_form_is_promised_only_where_the_endpoint_can_keep_it() -> None:
    closed = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    assert is_strict({"$defs": {"x": closed}, "anyOf": [closed, {"type": "array", "items": closed}]})
    assert not is_strict(closed | {"required": []})
    assert not is_strict({"anyOf": [closed, {"type": "object"}]})
