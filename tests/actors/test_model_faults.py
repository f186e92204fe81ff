"""Whatever a model's endpoint does, it is one typed error, in time, without the key, and leaves nothing behind."""

import logging
import math
import random
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from callboard.actors.llm import ModelClient
from callboard.actors.llm.errors import (
    AnswerCut,
    BadAnswer,
    BadModelKey,
    BadModelRequest,
    ContextTooLong,
    ModelBusy,
    ModelDown,
    ModelStalled,
    UnknownModelName,
)
from callboard.actors.llm.reply import Reply, Usage
from callboard.actors.llm.tables import EndpointTable
from callboard.errors import CallboardError
from callboard.testing import ScriptedModel

from .asking import KEY, MODEL, PLENTY, WAYS, WITHIN, answering, call, error_of, opened, request

pytestmark = pytest.mark.anyio

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
        told = {"endpoint": "there", "model": MODEL, "cost": "nothing", "status": status, "wait": 0}
        assert error.detail | {"wait": 0} == told

    @pytest.mark.parametrize(("fault", "kind"), BROKEN.items())
    async def test_a_broken_answer_is_an_error_in_time_and_may_have_cost(
        self, way: str, fault: Any, kind: type[CallboardError]
    ) -> None:
        async with opened() as (model, client):
            model.fail(fault)
            error = await error_of(client, way, within=WITHIN if kind is ModelStalled else PLENTY)
            assert type(error) is kind
            assert error.detail == {"endpoint": "there", "model": MODEL, "cost": "unknown"}
            await call(client, way)

    async def test_an_answer_that_ends_in_the_middle_is_no_answer(self, way: str) -> None:
        async with opened() as (model, client):
            model.fail("closed_stream")
            assert isinstance(await error_of(client, way), BadAnswer if way == "ask" else ModelDown)

    async def test_a_stream_that_has_said_all_is_whole_though_the_connection_stays(self, way: str) -> None:
        async with opened() as (model, client):
            model.fail("open_stream")
            if way == "stream":
                await call(client, way)
            else:
                assert isinstance(await error_of(client, way, within=WITHIN), ModelStalled)

    async def test_an_endpoint_that_was_pulled_away_is_down_and_serves_again_when_it_is_back(self, way: str) -> None:
        async with opened() as (model, client):
            await call(client, way)
            await model.leave()
            error = await error_of(client, way)
            assert isinstance(error, ModelDown)
            assert error.detail["cost"] == "nothing"
            await model.come_back()
            await call(client, way)

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
            model.fail("noise", noise=answering(b"abc", head="200 OK\r\nContent-Encoding: gzip"))
            assert "encoding" in (await error_of(client, way)).text

    async def test_a_redirect_is_not_followed(self, way: str) -> None:
        async with opened() as (model, client), ScriptedModel() as other:
            head = f"307 Elsewhere\r\nLocation: {other.url}/chat/completions"
            model.fail("noise", noise=answering(b"", head=head))
            assert isinstance(await error_of(client, way), BadModelRequest)
            assert other.accepted == 0

    async def test_an_error_sent_with_200_is_the_endpoints_failure(self, way: str) -> None:
        body = b'data: {"error": {"message": "overloaded"}}\n\n' if way == "stream" else b'{"error": "overloaded"}'
        async with opened() as (model, client):
            model.fail("noise", noise=answering(body))
            error = await error_of(client, way)
        assert isinstance(error, ModelDown)
        assert "overloaded" in error.text

    async def test_a_refusal_whose_words_do_not_end_is_told_all_the_same(self, way: str) -> None:
        async with opened() as (model, client):
            model.fail("noise", noise=b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 999\r\n\r\n{")
            error = await error_of(client, way)
        assert isinstance(error, ModelBusy)
        assert error.wait == 7.0


async def test_a_refusal_whose_words_stall_is_told_all_the_same() -> None:
    async def refuse(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 401 No\r\nContent-Length: 999\r\n\r\n{")
            await anyio.sleep_forever()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
        tasks.start_soon(listener.serve, refuse)
        client = ModelClient(EndpointTable(name="there", url=f"http://127.0.0.1:{port}/v1"), key=KEY)
        with pytest.raises(BadModelKey):
            await call(client, "ask", within=PLENTY)
        await client.aclose()
        tasks.cancel_scope.cancel()


async def test_what_cannot_be_sent_is_the_callers_fault() -> None:
    async with opened() as (model, client):
        for extra in ({"x": object()}, {"x": math.nan}):
            with pytest.raises(BadModelRequest, match="cannot be asked this"):
                await client.ask(request(extra=extra), within=PLENTY)
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
        model.fail("noise", noise=answering(b"", head=f"429 No\r\n{headers}"))
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
            model.fail("noise", noise=answering(body))
        for _ in range(8 + len(BROKEN) + len(answers)):
            error = await error_of(client, way, within=WITHIN)
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
    moments, ended = random.Random(7), 0  # noqa: S311 - no secret
    async with opened() as (model, client):

        async def cancelled(turns: int) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asked)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

        async def asked() -> None:
            nonlocal ended
            try:
                await call(client, way, within=PLENTY)
            except anyio.get_cancelled_exc_class():
                ended += 1
                raise

        while ended < 1_000:
            model.fail("dripping", seconds=0.0, times=2)
            async with anyio.create_task_group() as tasks:
                for most in (4, 14, 30, 60):
                    tasks.start_soon(cancelled, moments.randrange(most))
            assert client.in_use == 0, ended
        await call(client, way, within=PLENTY)
        assert client.in_use == 0
