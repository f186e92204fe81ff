"""The scripted model itself: a script, a listener, and a record of what it was asked."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from email.utils import format_datetime
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.abc
import msgspec

from callboard.errors import CallerError

from ..reply import Usage
from ..request import ToolCall
from .fault import JSON, NOISE, Fault, Kind, fail, speak
from .fitting import fitting
from .line import Line
from .wire import Asked, Gone, Wire

HOST: Final = "127.0.0.1"


class ScriptedModel:
    """An endpoint of OpenAI's form on a free port of this machine: ``async with ScriptedModel() as model: model.url``.

    It answers what :meth:`say` and :meth:`fail` queued, in that order; then what `answer` makes of the request; and
    without that the smallest JSON that fits the schema it was asked for, or ``ok``.
    """

    def __init__(self, *, models: Sequence[str] = ("scripted",)) -> None:
        """`models` are the names that ``/v1/models`` lists; any other is answered too."""
        self.answer: Callable[[dict[str, Any]], object] | None = None
        """Makes the answer to a request, given as the body that came: text, or a value that is said as JSON. What it
        raises is answered with 500, and raised where the model ends."""
        self.requests: list[Asked] = []
        """All that was asked, in order: also what was failed."""
        self.open_now = 0
        """Requests that are being answered at this moment."""
        self.accepted = 0
        """Connections that were opened to it so far."""
        self.url = ""
        self._models = tuple(models)
        self._script: deque[Line | Fault] = deque()
        self._port = 0
        self._stack = AsyncExitStack()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._listening: anyio.CancelScope | None = None
        self._left = anyio.Event()
        self._broken: Exception | None = None

    def say(
        self,
        answer: object = "",
        *,
        usage: Usage | None = None,
        calls: Iterable[ToolCall] = (),
        finish: str = "",
        after: float = 0.0,
    ) -> None:
        """Queue an answer: text, or a value that is said as JSON. `after`: seconds that it thinks before."""
        self._script.append(Line(text=_text(answer), usage=usage, calls=tuple(calls), finish=finish, after=after))

    def fail(
        self,
        how: Kind | int,
        *,
        words: str = "",
        code: str = "",
        retry_after: float | datetime | None = None,
        seconds: float = 0.05,
        noise: bytes = NOISE,
        times: int = 1,
    ) -> None:
        """Queue a failure, `times` over: a status, or a kind of broken answer; docs/testing.md lists them.

        `seconds` lie between the bytes of an answer that drips. `noise` is sent instead of HTTP by one that is that.
        `words` and `code` are what the body of a status says. `retry_after` goes along as seconds, or as a
        date in UTC.
        """
        headers: dict[str, str] = {}
        if retry_after is not None:
            headers["retry-after"] = (
                format_datetime(retry_after, usegmt=True) if isinstance(retry_after, datetime) else f"{retry_after:g}"
            )
        fault = (
            Fault(status=how, words=words or f"scripted {how}", code=code, headers=headers)
            if isinstance(how, int)
            else Fault(kind=how, seconds=seconds, noise=noise)
        )
        self._script.extend([fault] * times)

    async def leave(self) -> None:
        """Stop listening and drop all connections, as an endpoint does that is switched off."""
        if self._listening is not None:
            self._listening.cancel()
            await self._left.wait()
            self._listening = None

    async def come_back(self) -> None:
        """Listen again, on the same port."""
        if self._tasks is None or self._listening is not None:
            raise CallerError("a scripted model comes back only after it left, inside its 'async with'")
        listener = await anyio.create_tcp_listener(local_host=HOST, local_port=self._port)
        self._port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
        self._left = anyio.Event()
        self._listening = anyio.CancelScope()
        self._tasks.start_soon(self._listen, listener, self._listening, self._left)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        await self.come_back()
        self.url = f"http://{HOST}:{self._port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)
        self._tasks = self._listening = None
        if error is None and self._broken is not None:
            raise self._broken

    async def _listen(
        self, listener: anyio.abc.Listener[anyio.abc.SocketStream], scope: anyio.CancelScope, left: anyio.Event
    ) -> None:
        with scope:
            async with listener, anyio.create_task_group() as tasks:
                await listener.serve(self._serve, tasks)
        left.set()

    async def _serve(self, stream: anyio.abc.SocketStream) -> None:
        """Answer the requests of one connection, one after the other."""
        self.accepted += 1
        async with stream:
            wire = Wire(stream)
            try:
                while (asked := await wire.read()) is not None:
                    await self._asked(asked, wire)
                    if not wire.again():
                        return
            except Gone:
                return

    async def _asked(self, asked: Asked, wire: Wire) -> None:
        self.requests.append(asked)
        self.open_now += 1
        try:
            await self._respond(asked, wire)
        finally:
            self.open_now -= 1

    async def _respond(self, asked: Asked, wire: Wire) -> None:
        match asked.method, asked.path:
            case "POST", "/v1/chat/completions":
                await self._act(asked, wire)
            case "GET", "/v1/models":
                rows = [{"id": name, "object": "model", "owned_by": "scripted"} for name in self._models]
                await wire.answer(200, msgspec.json.encode({"object": "list", "data": rows}), kind=JSON)
            case _:
                await wire.answer(404, b'{"error": {"message": "no such path"}}', kind=JSON)

    async def _act(self, asked: Asked, wire: Wire) -> None:
        scripted = self._script.popleft() if self._script else None
        try:
            line = scripted if isinstance(scripted, Line) else Line(text=self._answer(asked.body))
        except Exception as error:  # noqa: BLE001 - it is the test's, and raised at its end
            self._broken = self._broken or error
            scripted, line = Fault(status=500, words=f"answer() raised {type(error).__name__}"), Line()
        if isinstance(scripted, Fault):
            await fail(scripted, line, asked=asked, wire=wire)
            return
        if line.after:
            await wire.wait(line.after)
        await speak(line, asked, wire)

    def _answer(self, body: dict[str, Any]) -> str:
        if self.answer is not None:
            return _text(self.answer(body))
        form = body.get("response_format") or {}
        if form.get("type") == "json_schema":
            return msgspec.json.encode(fitting(form["json_schema"]["schema"])).decode()
        return "ok"


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()
