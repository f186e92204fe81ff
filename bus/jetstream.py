"""JetStream over our own connection: requests to its API, stored messages, and settled ones, each with a deadline.

The client's own calls are not used: they have no way to wait for many answers at once that ends with the connection.
"""

import asyncio
import itertools
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.errors import WorldError

from .errors import BusUnavailable
from .queue import NoQueues

if TYPE_CHECKING:
    from .connection import Connection

_HEADERS: Final = b"NATS/1.0"
NOBODY: Final = 503
"""The status of an answer that says that nobody listens there."""


class JetStreamError(WorldError):
    """JetStream refused; ``detail`` has its ``number``."""

    @property
    def number(self) -> int:
        """JetStream's own number of the error."""
        return int(self.detail.get("number") or 0)


class _Failure(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Failed(msgspec.Struct):
    error: _Failure | None = None


_failed: Final = msgspec.json.Decoder(_Failed)


def status_of(data: bytes) -> int:
    """Return the status in the head of a message without a body; 0 if it has none."""
    if not data.startswith(_HEADERS):
        return 0
    words = data[len(_HEADERS) :].split(b"\r\n", 1)[0].split()
    return int(words[0]) if words and words[0].isdigit() else 0


def header_of(data: bytes, name: bytes) -> bytes:
    """Return one header of a head; empty if it is not there."""
    for line in data.split(b"\r\n"):
        if line.lower().startswith(name.lower() + b":"):
            return line[len(name) + 1 :].strip()
    return b""


class JetStream:
    """Questions to JetStream over one connection."""

    def __init__(self, bus: "Connection") -> None:
        self._bus = bus
        self._numbers = itertools.count(1)
        self._open: dict[str, asyncio.Future[bytes]] = {}
        self._opening = anyio.Lock()
        self._listens = False

    async def ask(self, subject: str, data: bytes, *, timeout: float, id: str = "") -> bytes:  # noqa: A002 - its header's name
        """Say something and return the answer; with `id`, as the id by which JetStream knows a message again.

        Raises BusUnavailable: no answer within `timeout` seconds. Where nobody listens the server answers at once, with
        a head of :data:`NOBODY`; an empty answer is what JetStream says to a settled message.
        """
        if not self._listens:
            await self._listen()
        number = str(next(self._numbers))
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        reply = f"{self._bus.inbox}.j.{number}"
        try:
            with anyio.fail_after(timeout):
                self._bus.publish(subject, data, reply=reply, id=id)
                return await answer
        except TimeoutError as error:
            raise BusUnavailable(f"no word from JetStream on {subject} within {timeout} s") from error
        finally:
            del self._open[number]

    async def api(self, what: str, body: object = None, *, timeout: float = 5.0) -> bytes:
        """Call JetStream's API and return its answer; raises JetStreamError, BusUnavailable."""
        data = b"" if body is None else msgspec.json.encode(body)
        answer = await self.ask(f"$JS.API.{what}", data, timeout=timeout)
        if status_of(answer) == NOBODY:
            raise NoQueues(f"this NATS has no JetStream for us ({what})")
        check(answer, what)
        return answer

    async def _listen(self) -> None:
        async with self._opening:
            if not self._listens:
                await self._bus.subscribe(f"{self._bus.inbox}.j.*", self._on_answer, status=True)
                self._listens = True

    def _on_answer(self, subject: str, data: bytes, _reply: str) -> None:
        answer = self._open.get(subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(data)


def check(answer: bytes, what: str) -> None:
    """Raise JetStreamError if an answer says that something went wrong."""
    try:
        failed = _failed.decode(answer).error
    except msgspec.MsgspecError as error:
        raise JetStreamError(f"{what}: an answer that is none: {answer[:200]!r}") from error
    if failed is not None:
        raise JetStreamError(f"{what}: {failed.description}", number=failed.err_code)


def nanoseconds(seconds: float) -> int:
    """Return seconds as the API takes them."""
    return round(seconds * 1e9)
