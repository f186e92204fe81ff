"""The embedder behind an API: right against a real HTTP server, and each fault is one typed error without the key."""

import json
import logging
import math
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.abc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.embedding import EmbedderFailed
from callboard.actors.llm import EndpointEmbedder

pytestmark = pytest.mark.anyio

KEY: Final = "sk-very-secret-0123456789"
WIDTH: Final = 4
MODEL: Final = "small"
Answer = Callable[[dict[str, Any]], bytes]


def vector_of(text: str) -> list[float]:
    """Return the vector, not of unit length, that the server gives to a text."""
    return [float(len(text)), 1.0, float(sum(text.encode(errors="replace")) % 97), -2.0]


def response(body: bytes, *, status: str = "200 OK", kind: str = "application/json", length: int = -1) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body) if length < 0 else length}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def rows(vectors: list[list[float]]) -> dict[str, Any]:
    return {"object": "list", "data": [{"object": "embedding", "index": at, "embedding": each} for at, each in
            enumerate(vectors)], "model": MODEL, "usage": {"prompt_tokens": 1, "total_tokens": 1}}  # fmt: skip


def right(asked: dict[str, Any]) -> bytes:
    return response(json.dumps(rows([vector_of(text) for text in asked["input"]])).encode())


class Server:
    """Speaks just enough HTTP/1.1, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = right
        self.stalls = False
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.received = anyio.Event()

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive()
            head, _, body = received.partition(b"\r\n\r\n")
            lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
            length = next(int(value) for name, _, value in lines if name.lower() == b"content-length")
            while len(body) < length:
                body += await stream.receive()
            self.heads.append(head.decode())
            self.asked.append(json.loads(body))
            self.received.set()
            if self.stalls:
                await anyio.sleep_forever()
            await stream.send(self.answer(self.asked[-1]))


@asynccontextmanager
async def serving() -> AsyncGenerator[Server, None]:
    server = Server()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        server.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}/v1"  # noqa: S610 - no Django
        tasks.start_soon(listener.serve, server.serve)
        yield server
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def asking(server: Server, **settings: Any) -> AsyncGenerator[EndpointEmbedder, None]:
    values: dict[str, Any] = {"dimensions": WIDTH, "key": KEY, "timeout": 5.0}
    embedder = EndpointEmbedder(server.url, MODEL, **{**values, **settings})
    try:
        yield embedder
    finally:
        await embedder.aclose()


async def test_each_text_gets_its_own_vector_of_unit_length() -> None:
    texts = [f"text {number}" for number in range(150)]
    async with serving() as server, asking(server) as embedder:
        found = await embedder.embed(texts)
        assert [len(asked["input"]) for asked in server.asked] == [64, 64, 22]
    right = np.array([vector_of(text) for text in texts])
    assert np.allclose(found, right / np.linalg.norm(right, axis=1, keepdims=True), atol=1e-6)
    assert found.dtype == np.float32


async def test_vectors_belong_to_texts_by_their_index_in_whatever_order_they_come() -> None:
    def turned_round(asked: dict[str, Any]) -> bytes:
        made = rows([vector_of(text) for text in asked["input"]])
        return response(json.dumps(made | {"data": made["data"][::-1]}).encode())

    async with serving() as server, asking(server) as embedder:
        straight = await embedder.embed(["a", "bb", "ccc"])
        server.answer = turned_round
        assert np.array_equal(straight, await embedder.embed(["a", "bb", "ccc"]))


async def test_what_says_nothing_is_not_sent_and_is_a_row_of_zeros() -> None:
    async with serving() as server, asking(server) as embedder:
        found = await embedder.embed(["", "x", " \n"])
        assert [asked["input"] for asked in server.asked] == [["x"]]
        assert [bool(row.any()) for row in found] == [False, True, False]
        assert (await embedder.embed([])).shape == (0, WIDTH)
        assert len(server.asked) == 1


async def test_a_lone_surrogate_and_a_very_long_text_are_sent_as_what_can_be_sent() -> None:
    async with serving() as server, asking(server) as embedder:
        await embedder.embed(["a\ud800b", "x" * 100_000])
        assert server.asked[0]["input"] == ["a?b", "x" * 8_000]


async def test_it_asks_as_the_settings_say_and_shortens_only_when_told() -> None:
    async with serving() as server:
        for settings, extra in (({}, {}), ({"shorten": True}, {"dimensions": WIDTH})):
            async with asking(server, **settings) as embedder:
                await embedder.embed(["x"])
            assert server.asked.pop() == {"input": ["x"], "model": MODEL, "encoding_format": "float"} | extra
        assert all(f"authorization: bearer {KEY}" in head.lower() for head in server.heads)
        assert all(head.startswith("POST /v1/embeddings ") for head in server.heads)


async def test_without_a_key_none_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, KEY)
    async with serving() as server, asking(server, key="") as embedder:
        await embedder.embed(["x"])
        assert KEY not in server.heads[0]


def echo(head: str) -> Answer:
    """Return an answer that repeats the key, as some endpoints do."""
    return lambda _asked: response(
        json.dumps({"error": {"message": f"{head} for key {KEY}\x1b[31m" + "x" * 5_000}}).encode(), status=head
    )


def cut(asked: dict[str, Any]) -> bytes:
    whole = right(asked)
    return whole[: len(whole) // 2]


def instead(body: bytes, **how: Any) -> Answer:
    return lambda _asked: response(body, **how)


def vectors(*made: list[float]) -> Answer:
    return instead(json.dumps(rows(list(made))).encode())


def data(made: object) -> Answer:
    return instead(json.dumps({"data": made}).encode())


GOOD = [1.0, 0.0, 0.0, 0.0]
FAULTS: Final[dict[str, tuple[Answer, str]]] = {
    "429": (lambda _: response(b"{}", status="429 Too Many\r\nRetry-After: 3600"), "answered 429"),
    "429 that repeats the key": (echo("429 Too Many Requests"), "answered 429"),
    "401 that repeats the key": (echo("401 Unauthorized"), "answered 401"),
    "500": (instead(b"oops", status="500 Internal Server Error", kind="text/plain"), "answered 500"),
    "HTML with 200": (instead(b"<html>Sign in</html>", kind="text/html"), "answered with nonsense"),
    "HTML said to be JSON": (instead(b"<html>Sign in</html>"), "answered with nonsense"),
    "nothing": (instead(b""), "answered with nonsense"),
    "not UTF-8": (instead(b'{"data": "\xff\xfe"}'), "answered with nonsense"),
    "nested without end": (instead(b"[" * 500_000), "answered with nonsense"),
    "another shape": (data({"index": 0}), "answered with nonsense"),
    "no index": (data([{"embedding": GOOD}, {"embedding": GOOD}]), "answered with nonsense"),
    "base64": (data([{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]), "answered with nonsense"),
    "null in it": (data([{"index": at, "embedding": [1.0, None, 0.0, 0.0]} for at in (0, 1)]), "nonsense"),
    "NaN": (instead(json.dumps(rows([GOOD, [math.nan, 1.0, 0.0, 0.0]])).encode()), "answered with nonsense"),
    "Infinity": (instead(b'{"data": [{"index": 0, "embedding": [1e999, 0, 0, 0]}]}'), "answered"),
    "narrow": (vectors(GOOD[:3], GOOD[:3]), "vectors of 3 numbers, not 4"),
    "wide": (vectors(GOOD, [*GOOD, 0.0]), "vectors of 5 numbers, not 4"),
    "fewer": (vectors(GOOD), "1 vectors to 2 texts"),
    "more": (vectors(GOOD, GOOD, GOOD), "3 vectors to 2 texts"),
    "none": (vectors(), "0 vectors to 2 texts"),
    "one twice": (data([{"index": 1, "embedding": GOOD}] * 2), "2 vectors to 2 texts"),
    "another's index": (data([{"index": at, "embedding": GOOD} for at in (-1, 0)]), "2 vectors to 2 texts"),
    "zeros": (vectors(GOOD, [0.0] * WIDTH), "without a direction"),
    "cut body": (cut, "could not be asked"),
    "no HTTP": (lambda _: b"SSH-2.0-OpenSSH\r\n", "could not be asked"),
    "closed at once": (lambda _: b"", "could not be asked"),
}


def check_silent(error: EmbedderFailed, embedder: EndpointEmbedder, log: str) -> None:
    """Assert that the key is in nothing that could be shown, and that what is shown is short and plain."""
    shown = "".join(traceback.format_exception(error)) + log + repr(embedder) + repr(error.detail)
    assert KEY not in shown
    assert len(error.text) < 400
    assert error.text.isprintable()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_one_error_at_the_first_try_and_the_key_is_in_no_text(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer, says = FAULTS[name]
    caplog.set_level(logging.DEBUG)
    async with serving() as server, asking(server) as embedder:
        server.answer = answer
        with pytest.raises(EmbedderFailed, match=says) as caught:
            await embedder.embed(["a", "b"])
        assert len(server.asked) == 1, "who calls decides about another try, not the client"
        check_silent(caught.value, embedder, caplog.text)
        assert caught.value.detail == {"endpoint": server.url, "model": MODEL}
        server.answer = right
        assert (await embedder.embed(["a", "b"])).all(axis=1).any(), "and it goes on when the endpoint is well again"


async def test_a_stall_ends_at_the_timeout(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as server, asking(server, timeout=0.1) as embedder:
        server.stalls = True
        with anyio.fail_after(5.0), pytest.raises(EmbedderFailed, match=r"within 0\.1 s|could not be asked") as caught:
            await embedder.embed(["a"])
        check_silent(caught.value, embedder, caplog.text)


async def test_nobody_there_is_an_error_and_not_a_hang() -> None:
    async with serving() as server:
        url = server.url
    embedder = EndpointEmbedder(url, MODEL, dimensions=WIDTH, key=KEY)
    with pytest.raises(EmbedderFailed, match="could not be asked"):
        await embedder.embed(["a"])
    await embedder.aclose()


async def test_who_is_cancelled_is_cancelled_at_once_and_the_next_call_works() -> None:
    async with serving() as server, asking(server) as embedder:
        server.stalls = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(embedder.embed, ["a"])
            with anyio.fail_after(10.0):
                await server.received.wait()
            tasks.cancel_scope.cancel()
        server.stalls = False
        assert (await embedder.embed(["a"])).any()


async def test_after_closing_it_opens_anew() -> None:
    async with serving() as server, asking(server) as embedder:
        first = await embedder.embed(["a"])
        await embedder.aclose()
        await embedder.aclose()
        assert np.array_equal(first, await embedder.embed(["a"]))


PATIENT = settings(deadline=None)  # the first example imports numpy
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@PATIENT
@given(st.lists(NUMBERS, min_size=WIDTH, max_size=WIDTH))
def test_whatever_numbers_come_the_row_is_of_unit_length_or_refused(numbers: list[float]) -> None:
    embedder = EndpointEmbedder("http://x", MODEL, dimensions=WIDTH)
    content = json.dumps(rows([numbers])).encode()
    if not math.hypot(*numbers) or math.isinf(math.hypot(*numbers)):
        with pytest.raises(EmbedderFailed, match="without a direction"):
            embedder._checked(content, 1)
    else:
        assert np.isclose(np.linalg.norm(embedder._checked(content, 1)[0]), 1.0, atol=1e-5)


@PATIENT
@given(st.binary(max_size=200) | st.recursive(st.none() | NUMBERS | st.text(max_size=5), lambda inner: st.lists(
    inner, max_size=4) | st.dictionaries(st.sampled_from(["data", "index", "embedding"]), inner)).map(
    lambda made: json.dumps(made).encode()))  # fmt: skip
def test_whatever_bytes_come_are_vectors_or_one_typed_error(content: bytes) -> None:
    embedder = EndpointEmbedder("http://x", MODEL, dimensions=WIDTH)
    with pytest.raises(EmbedderFailed):
        embedder._checked(content, 1)
