"""An answer that comes in pieces, with two limits: one for all of it, and one for each silence."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Final, Self

import anyio

from callboard.errors import CallboardError

from ..errors import ModelStalled
from ..reply import Piece
from .answer import check_plain
from .guarded import T, guarded
from .stream_parts import Gathering
from .where import Where

_CLOSING: Final = 1.0
_LAST_BYTES: Final = 0.1
_AFTER_FINISH: Final = 1.0
"""Seconds for the usage after the last word: not all endpoints then say that this was all, or hang up."""


class ModelStream:
    """``async with client.stream(...) as pieces``, then ``async for piece in pieces``; the last one has the usage.

    No cancel scope is open while the caller has a piece in hand: each await here has its own.
    """

    def __init__(
        self,
        send: Callable[[], Awaitable[AbstractAsyncContextManager[Any]]],
        where: Where,
        *,
        within: float,
        idle: float,
    ) -> None:
        self._send, self._where, self._within, self._idle = send, where, within, idle
        self._deadline = 0.0
        self._response: AbstractAsyncContextManager[Any] | None = None
        self._bytes: AsyncGenerator[bytes] | None = None
        self._gathering = Gathering(where)
        self._failure: CallboardError | None = None
        self._over = False

    async def __aenter__(self) -> Self:
        self._deadline = anyio.current_time() + self._within
        response = await self._timed(self._begin)
        self._bytes = response.http_response.aiter_raw()
        try:
            check_plain(response.headers, self._where)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        with anyio.move_on_after(_CLOSING, shield=True):  # a cancelled reader gives its connection back too
            if self._bytes is not None:
                await self._finish(self._bytes)
                await self._bytes.aclose()
            if self._response is not None:
                await self._response.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        """Return the next piece. Raises ModelFailed, BadAnswer and AnswerCut; after that there is none."""
        while not self._gathering.ready:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._over or self._bytes is None:
                raise StopAsyncIteration
            self._over = True  # until it is known that more comes: after an error or a cancel nothing does
            try:
                self._over = await self._take(self._bytes)
            except CallboardError as error:  # what came before it is given first
                self._failure = error.with_traceback(None)  # its frames hold what came: see ask()
        return self._gathering.ready.popleft()

    async def _begin(self) -> Any:
        self._response = await self._send()
        return await self._response.__aenter__()

    async def _take(self, bytes_: AsyncGenerator[bytes]) -> bool:
        """Make the next bytes into pieces, and at their end into the last one; return whether this was the end."""
        try:
            piece = await self._timed(lambda: anext(bytes_, None))
        except ModelStalled:
            if not self._gathering.finished:
                raise
            piece = None
        if piece is not None:
            self._gathering.feed(piece)
            if not self._gathering.ended:
                return False
        self._gathering.end()
        return True

    async def _finish(self, bytes_: AsyncGenerator[bytes]) -> None:
        """Read the end of the body after ``[DONE]``, if it is on its way: only so the connection is used again."""
        if self._gathering.ended:
            with anyio.move_on_after(_LAST_BYTES), suppress(Exception):
                await anext(bytes_, None)

    async def _timed(self, wait: Callable[[], Awaitable[T]]) -> T:
        left = self._deadline - anyio.current_time()
        idle = min(self._idle, _AFTER_FINISH) if self._gathering.finished else self._idle
        late = f"was silent for {idle:g} s" if idle < left else f"did not end within {self._within:g} s"
        return await guarded(wait, self._where, seconds=min(idle, left), late=late)
