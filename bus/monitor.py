"""What a nats-server on loopback says of itself when it is asked over plain TCP; who says nothing says nothing bad."""

from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

import anyio
import msgspec

from .ports import LOOPBACK

_HEALTH: Final = b"GET /healthz?js-enabled-only=true HTTP/1.0\r\n\r\n"
_TRAFFIC: Final = b"GET /connz?auth=1&limit=4096 HTTP/1.0\r\n\r\n"
_STREAMS: Final = b"GET /healthz HTTP/1.0\r\n\r\n"
_WRITE_ERROR: Final = "write error"
_WITHIN: Final = 1.0
_T = TypeVar("_T")


class _Status(msgspec.Struct):
    error: str = ""


async def answers(monitor: int) -> bool:
    """Return whether it says anything at all within a second."""
    return bool(await _talk(monitor, _HEALTH))


async def is_ready(client: int, monitor: int, *, name: str) -> bool:
    """Return whether it is healthy, and serves clients under `name`."""
    health = await _talk(monitor, _HEALTH)
    return b" 200 " in health[:16] and f'"server_name":"{name}"'.encode() in await _talk(client, b"")


async def write_fault(monitor: int) -> str:
    """Return why some stream can be written no more, in its own words; empty if it does not say so."""
    body = (await _talk(monitor, _STREAMS)).partition(b"\r\n\r\n")[2]
    error = read(body, _Status).error
    return error if _WRITE_ERROR in error else ""


class _Client(msgspec.Struct):
    in_msgs: int = 0
    authorized_user: str = ""


class _Clients(msgspec.Struct):
    connections: list[_Client] = []


class Traffic(NamedTuple):
    """What one user has done over the connections that it has now."""

    sent: int = 0
    """Messages."""
    connections: int = 0


async def traffic(monitor: int) -> dict[str, Traffic] | None:
    """Return the traffic of each user who is connected, by public key; None if it does not say in time."""
    body = (await _talk(monitor, _TRAFFIC)).partition(b"\r\n\r\n")[2]
    if not body:
        return None
    found: dict[str, Traffic] = {}
    for client in read(body, _Clients).connections:
        if user := client.authorized_user:
            so_far = found.get(user, Traffic())
            found[user] = Traffic(so_far.sent + client.in_msgs, so_far.connections + 1)
    return found


def read(answer: bytes, kind: type[_T]) -> _T:
    """Return what an answer says; what cannot be read says nothing."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return kind()


async def _talk(port: int, request: bytes) -> bytes:
    with suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError), anyio.fail_after(_WITHIN):
        async with await anyio.connect_tcp(LOOPBACK, port) as stream:
            await stream.send(request)
            answer = await stream.receive()
            if not request:  # who says nothing hears the greeting, which ends nothing
                return answer
            return answer + b"".join([part async for part in stream])
    return b""
