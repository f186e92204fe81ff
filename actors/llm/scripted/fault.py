"""The ways in which a scripted model fails: each a few lines on the wire."""

import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Literal

import msgspec

from .line import DONE, Line, event, events, whole
from .wire import Asked, Wire

Kind = Literal[
    "html", "garbage", "noise", "truncated", "reset", "stalled", "silent", "dripping", "cut", "empty", "nothing",
    "refusal", "huge", "closed_stream", "open_stream",
]  # fmt: skip
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
NOISE: Final = b"SSH-2.0-OpenSSH\r\n\r\n"
_HUGE: Final = 17
_MIB: Final = 1024 * 1024


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One failure: a `kind`, or a `status` with words. `seconds` lie between the bytes of one that drips."""

    kind: Kind | None = None
    status: int = 0
    code: str = ""
    words: str = ""
    headers: dict[str, str] = {}
    seconds: float = 0.05
    noise: bytes = NOISE


async def fail(fault: Fault, line: Line, *, asked: Asked, wire: Wire) -> None:
    """Fail on the wire; `line` is what would have been said."""
    if fault.kind is None:
        told = {"error": {"message": fault.words, "code": fault.code or None, "type": "scripted", "param": None}}
        await wire.answer(fault.status, msgspec.json.encode(told), kind=JSON, headers=fault.headers)
    else:
        await _WAYS[fault.kind](fault, line, asked, wire)


async def speak(line: Line, asked: Asked, wire: Wire) -> None:
    """Say a line, whole or in events as it was asked for."""
    if not asked.body.get("stream"):
        await wire.answer(200, msgspec.json.encode(whole(line, asked.body)), kind=JSON)
        return
    await _begin(asked, wire)
    for part in events(line, asked.body):
        await wire.send(part)
    await wire.end()


async def _begin(asked: Asked, wire: Wire, *, length: int | None = None) -> None:
    stream = asked.body.get("stream")
    await wire.begin(
        200, EVENTS if stream else JSON, {} if stream or length is None else {"content-length": str(length)}
    )


def _bytes(line: Line, asked: Asked) -> bytes:
    if asked.body.get("stream"):
        return b"".join(events(line, asked.body))
    return msgspec.json.encode(whole(line, asked.body))


async def _html(_fault: Fault, _line: Line, _asked: Asked, wire: Wire) -> None:
    await wire.answer(200, b"<!doctype html><title>Sign in</title>", kind="text/html")


async def _garbage(_fault: Fault, _line: Line, asked: Asked, wire: Wire) -> None:
    body = b'{"choices": [{"mess\xff\xfe'
    await _begin(asked, wire)
    await wire.send(b"data: " + body + b"\n\n" if asked.body.get("stream") else body)
    await wire.end()


async def _noise(fault: Fault, _line: Line, _asked: Asked, wire: Wire) -> None:
    await wire.write(fault.noise)


async def _truncated(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    body = _bytes(line, asked)
    await _begin(asked, wire, length=len(body))
    await wire.send(body[: len(body) // 2])


async def _reset(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    await _truncated(_fault, line, asked, wire)
    await wire.reset()


async def _stalled(_fault: Fault, _line: Line, asked: Asked, wire: Wire) -> None:
    await _begin(asked, wire)
    await wire.wait(math.inf)


async def _silent(_fault: Fault, _line: Line, _asked: Asked, wire: Wire) -> None:
    await wire.wait(math.inf)


async def _dripping(fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    await _begin(asked, wire)
    for at in _bytes(line, asked):
        await wire.send(bytes([at]))
        await wire.wait(fault.seconds)
    await wire.end()


async def _cut(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    half = msgspec.structs.replace(line, text=line.text[: max(1, len(line.text) // 2)], finish="length")
    await speak(half, asked, wire)


async def _empty(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    if asked.body.get("stream"):
        await _all(asked, wire, iter([event({"choices": []}), DONE]))
    else:
        await wire.answer(200, msgspec.json.encode(whole(line, asked.body) | {"choices": []}), kind=JSON)


async def _nothing(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    await speak(msgspec.structs.replace(line, text="", calls=()), asked, wire)


async def _refusal(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    await speak(msgspec.structs.replace(line, text="", calls=(), refusal="I cannot help with that."), asked, wire)


async def _huge(_fault: Fault, _line: Line, asked: Asked, wire: Wire) -> None:
    await _all(asked, wire, (b" " * _MIB for _ in range(_HUGE)))


async def _closed_stream(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    """End well-formed, in the middle of what is said."""
    body: list[bytes] = events(line, asked.body) if asked.body.get("stream") else [_bytes(line, asked)[:-5]]
    await _all(asked, wire, iter(body[: max(1, len(body) // 2)]))


async def _open_stream(_fault: Fault, line: Line, asked: Asked, wire: Wire) -> None:
    """Say all of it, but not that this was all, and stay."""
    body: list[bytes] = events(line, asked.body)[:-1] if asked.body.get("stream") else [_bytes(line, asked)]
    await _begin(asked, wire)
    for part in body:
        await wire.send(part)
    await wire.wait(math.inf)


async def _all(asked: Asked, wire: Wire, parts: Iterator[bytes]) -> None:
    await _begin(asked, wire)
    for part in parts:
        await wire.send(part)
    await wire.end()


_Way = Callable[[Fault, Line, Asked, Wire], Awaitable[Any]]
_WAYS: Final[dict[Kind, _Way]] = {
    "html": _html,
    "garbage": _garbage,
    "noise": _noise,
    "truncated": _truncated,
    "reset": _reset,
    "stalled": _stalled,
    "silent": _silent,
    "dripping": _dripping,
    "cut": _cut,
    "empty": _empty,
    "nothing": _nothing,
    "refusal": _refusal,
    "huge": _huge,
    "closed_stream": _closed_stream,
    "open_stream": _open_stream,
}
