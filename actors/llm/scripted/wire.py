"""One connection of the scripted model: HTTP by h11, and the ways to break it."""

import socket
import struct
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
import msgspec

if TYPE_CHECKING:
    import h11

_READ: Final = 65_536
_REQUEST_MOST: Final = 64 * 1024 * 1024


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. `body` is empty where none came; the names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Gone(Exception):
    """The client hung up, or spoke no HTTP."""


class Wire:
    """The server's side of a connection."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        import h11

        self._h11, self._stream = h11, stream
        self._state = h11.Connection(h11.SERVER)

    async def read(self) -> Asked | None:
        """Return the next request; None if the client closed instead. Raises Gone."""
        head = await self._next()
        if not isinstance(head, self._h11.Request):
            return None
        body = bytearray()
        while isinstance(part := await self._next(), self._h11.Data):
            body += part.data
            if len(body) > _REQUEST_MOST:
                raise Gone
        headers = {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in head.headers}
        method, path = bytes(head.method).decode(), bytes(head.target).decode()
        return Asked(method=method, path=path, headers=headers, body=_object(bytes(body)))

    async def answer(self, status: int, body: bytes, *, kind: str, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        await self.begin(status, kind, {"content-length": str(len(body)), **(headers or {})})
        await self.send(body)
        await self.end()

    async def begin(self, status: int, kind: str, headers: dict[str, str]) -> None:
        """Send the head; without a content-length the body is chunked."""
        every = {"content-type": kind, **headers}
        await self._write(self._h11.Response(status_code=status, headers=[*every.items()]))

    async def send(self, body: bytes) -> None:
        """Send a part of the body."""
        await self._write(self._h11.Data(data=body))

    async def end(self) -> None:
        """End the body."""
        await self._write(self._h11.EndOfMessage())

    async def write(self, noise: bytes) -> None:
        """Send bytes that are no HTTP."""
        await self._stream.send(noise)

    def again(self) -> bool:
        """Make ready for the next request on this connection; False if there cannot be one."""
        if self._state.our_state is not self._h11.DONE or self._state.their_state is not self._h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    async def wait(self, seconds: float) -> None:
        """Do nothing for so long. Raises Gone as soon as the client hangs up: it has no more to say meanwhile."""
        with anyio.move_on_after(seconds):
            while True:
                await self._receive()

    async def reset(self) -> None:
        """End the connection with a reset, as a machine that fails does."""
        raw: socket.socket = self._stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - no Django
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self._stream)

    async def _next(self) -> "h11.Event | type[h11.PAUSED]":
        try:
            while (event := self._state.next_event()) is self._h11.NEED_DATA:
                self._state.receive_data(await self._receive(end=b""))
        except self._h11.RemoteProtocolError:
            raise Gone from None
        return event  # type: ignore[return-value]  # NEED_DATA is gone, which mypy does not see

    async def _receive(self, *, end: bytes | None = None) -> bytes:
        try:
            return await self._stream.receive(_READ)
        except anyio.EndOfStream:
            if end is None:
                raise Gone from None
            return end
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise Gone from None

    async def _write(self, event: "h11.Event") -> None:
        try:
            await self._stream.send(self._state.send(event) or b"")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise Gone from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any]) if body else {}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Gone from None
