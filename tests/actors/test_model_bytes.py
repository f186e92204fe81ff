"""Whatever bytes a model's endpoint sends, they are a reply or a typed error: in the parsers, and over a socket."""

import json
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callboard.actors.llm import ModelClient
from callboard.actors.llm.door.answer import checked
from callboard.actors.llm.door.opened import BadStatus
from callboard.actors.llm.door.refusal import refused
from callboard.actors.llm.door.stream_parts import Events, Gathering
from callboard.actors.llm.door.tools_by_schema import from_schema
from callboard.actors.llm.door.where import Where
from callboard.actors.llm.errors import BadAnswer, ModelDown
from callboard.actors.llm.reply import Piece, Reply
from callboard.errors import CallboardError
from callboard.testing import ScriptedModel

from .asking import WAYS, answering, call, opened, request

T = TypeVar("T")
WHERE = Where("there", "127.0.0.1:1", model="small-1", key="sk-1")
NAMES = st.sampled_from(
    ["choices", "message", "delta", "content", "refusal", "tool_calls", "function", "name", "arguments", "id", "usage",
     "prompt_tokens", "completion_tokens", "prompt_tokens_details", "finish_reason", "error", "model", "code", "type",
     "tool", "answer", "detail"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["stop", "length"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
ANSWERS = st.builds(
    lambda content, rest: {"choices": [{"message": {"content": content} | rest}]},
    VALUES,
    st.dictionaries(NAMES, VALUES, max_size=2),
)
JSON = (VALUES | ANSWERS).map(lambda made: json.dumps(made).encode())
BYTES = st.binary(max_size=200) | JSON | st.builds(lambda made, at: made[:at], JSON, st.integers(0, 100))
QUICK = settings(deadline=None)


def end_of(act: Callable[[], T]) -> T | CallboardError:
    """Return what `act` returns, or our error that it raises: both ways out are right."""
    try:
        return act()
    except CallboardError as error:
        return error


def test_a_key_that_an_endpoint_repeats_as_the_name_of_its_model_is_not_written_down() -> None:
    content = b'{"model": "m sk-1\\n x", "choices": [{"message": {"content": "well"}}]}'
    assert checked(content, WHERE).served == "m *** x"
    gathering = Gathering(WHERE)
    gathering.feed(b'data: {"model": "m sk-1", "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}\n\n')
    gathering.end()
    assert gathering.ready[-1].served == "m ***"


@QUICK
@given(BYTES)
def test_a_body_is_a_reply_or_no_answer(content: bytes) -> None:
    found = end_of(lambda: checked(content, WHERE))
    if isinstance(found, Reply):
        assert found.text.encode() or found.calls
    else:
        assert isinstance(found, BadAnswer | ModelDown)
        assert found.__context__ is None


@QUICK
@given(st.lists(BYTES.map(lambda data: b"data: " + data + b"\n\n") | st.just(b"data: [DONE]\n\n") | st.binary()))
def test_a_stream_is_pieces_or_no_answer(chunks: list[bytes]) -> None:
    gathering = Gathering(WHERE)

    def gather() -> str:
        for chunk in chunks:
            gathering.feed(chunk)
        gathering.end()
        return gathering.ready[-1].finish

    found = end_of(gather)
    assert all(isinstance(piece, Piece) for piece in gathering.ready)
    if isinstance(found, CallboardError):
        assert isinstance(found, BadAnswer | ModelDown)
        assert found.__context__ is None
    else:
        assert found


@QUICK
@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))), st.data())
def test_events_are_the_same_however_their_bytes_are_cut(texts: list[str], data: st.DataObject) -> None:
    whole = b"".join(b": ping\r\nid: 3\r\ndata:" + text.encode() + b"\r\ndata: x\r\n\r\n" for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=10)))
    events, found = Events(), list[bytes]()
    for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += events.feed(whole[begin:end])
    assert found == [text.encode().removeprefix(b" ") + b"\nx" for text in texts]


@QUICK
@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text()), BYTES)
def test_a_refusal_is_a_typed_error_whatever_it_says(status: int, headers: dict[str, str], body: bytes) -> None:
    error = refused(BadStatus(status, headers, body), WHERE, now=1.7e9)
    assert error.detail["cost"] == "nothing"
    assert 0.0 <= float(error.detail.get("wait") or 0.0) <= 3_600.0
    assert error.text.isprintable()
    assert len(error.text) < 400


@QUICK
@given(st.text() | JSON.map(bytes.decode))
def test_a_choice_among_tools_is_a_call_or_text_or_no_answer(text: str) -> None:
    found = end_of(lambda: from_schema(Reply(text=text), request(), WHERE))
    if isinstance(found, Reply):
        assert bool(found.text) != bool(found.calls)
    else:
        assert isinstance(found, BadAnswer)
        assert found.reply == Reply(text=text)


@pytest.fixture(scope="module")
def asked() -> Generator[tuple[BlockingPortal, ScriptedModel, ModelClient]]:
    """A model and a client on a loop of their own: hypothesis asks from outside of it."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened()) as (model, client):
        yield portal, model, client


HEADS = st.sampled_from(
    ["200 OK", "200 OK\r\nContent-Type: text/event-stream", "204 No", "200 OK\r\nTransfer-Encoding: chunked",
     "200 OK\r\nContent-Length: 3", "404 No", "100 Continue", "302 Found\r\nLocation: http://[", "199 ?"]
)  # fmt: skip
WIRES = st.binary(max_size=200) | st.builds(lambda body, head: answering(body, head=head), BYTES, HEADS)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WIRES, st.sampled_from(WAYS))
def test_whatever_comes_over_the_wire_is_an_answer_or_a_typed_error(asked: Any, noise: bytes, way: str) -> None:
    portal, model, client = asked
    model.fail("noise", noise=noise)
    found = end_of(lambda: portal.call(call, client, way))
    assert found is None or found.detail["cost"] in {"nothing", "unknown"}
    assert client.in_use == 0
