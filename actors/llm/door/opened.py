"""The client of ``openai`` as we use it: no time of its own, no second try, and nothing taken from the environment."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread

_REFUSAL_MOST: Final = 64 * 1024
_REFUSAL_WAIT: Final = 1.0


class BadStatus(Exception):
    """The endpoint answered with a status that is not 2xx: what it said, without the request and so without the key."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


class Opener:
    """One client for a URL, opened at the first call."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._client: Any = None
        self._lock = anyio.Lock()

    async def client(self) -> Any:
        """Return the client. The first time it is loaded, in a thread: for half a second nothing else would run."""
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    load = partial(open_client, self._url, self._key)
                    self._client = await anyio.to_thread.run_sync(load, abandon_on_cancel=True)
        return self._client

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @property
    def in_use(self) -> int:
        """Connections on which a call is under way."""
        if self._client is None:
            return 0
        pool = self._client._client._transport._pool  # noqa: SLF001 - nobody else knows
        return sum(not (each.is_idle() or each.is_closed()) for each in pool.connections)


def open_client(url: str, key: str) -> Any:
    """Return an ``AsyncOpenAI`` for `url`. Its calls raise BadStatus, or its own errors: those hold the key."""
    import openai

    http = openai.DefaultAsyncHttpxClient(
        timeout=None,
        follow_redirects=False,  # one would take what is asked to a place that no setting names
        event_hooks={"response": [_raise_bad_status]},
    )
    # With no key at all the client would take one from the environment, which may be another endpoint's.
    client = openai.AsyncOpenAI(
        base_url=url.rstrip("/"), api_key=key or "none", admin_api_key="", webhook_secret="",
        max_retries=0, timeout=None, http_client=http,
    )  # fmt: skip
    client.organization = client.project = None
    vars(client)["_custom_headers"] = {}  # OPENAI_CUSTOM_HEADERS may hold a key too, and no setting keeps it out
    _ = client.chat.completions, client.embeddings  # are loaded when they are first looked at
    return client


async def read_most(pieces: AsyncGenerator[bytes], content: bytearray, *, most: int) -> None:
    """Add the bytes to `content`, up to the first piece that goes past `most`."""
    async with aclosing(pieces):
        async for piece in pieces:
            content += piece
            if len(content) > most:
                return


async def _raise_bad_status(response: Any) -> None:
    """Raise BadStatus before the client reads a body of any size and makes an error that holds the key."""
    if 200 <= response.status_code < 300:
        return
    body = bytearray()
    with anyio.move_on_after(_REFUSAL_WAIT):  # the status is known: its words are not worth all of the time
        try:
            await read_most(response.aiter_bytes(), body, most=_REFUSAL_MOST)
        except Exception:  # noqa: BLE001 - whatever broke: what the status says stands without the rest of the words
            body += b" ..."
    raise BadStatus(response.status_code, dict(response.headers), bytes(body[:_REFUSAL_MOST]))
