"""A TCP proxy on loopback whose network can be made bad while connections are open.

It works on plain sockets: streams would send an orderly end before a reset, and a reset must be only that.
"""

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, Self

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

Direction = Literal["to_target", "to_client"]
Where = Literal["both", "to_target", "to_client"]

_CHUNK: Final = 65536
_IN_FLIGHT: Final = 64
_CONNECT_WITHIN: Final = 5.0
_RESET_WITHIN: Final = 5.0
_LINGER_NOT: Final = struct.pack("ii", 1, 0)

_Timed = tuple[float, bytes]
"""When to pass it on (event loop time), and what; empty bytes are the end of the stream."""


class _Weather:
    """What happens to the bytes of one direction; shared by all connections."""

    def __init__(self) -> None:
        self.swallows = False
        self.delay = 0.0
        self.cleared = anyio.Event()

    def set(self, *, swallows: bool, delay: float) -> None:
        self.swallows, self.delay = swallows, delay
        if not swallows:
            self.cleared.set()
            self.cleared = anyio.Event()


class TcpProxy:
    """Stands between clients and one target. Each mode holds for open connections and for new ones.

    - :meth:`pass_through`: bytes pass at once; the mode at the start.
    - :meth:`blackhole`: bytes vanish, and ends of streams too, while all connections stay open.
    - :meth:`delay`: bytes arrive later, in order, without a loss of throughput.
    - :meth:`reset`: every open connection ends with RST on both sides; the mode stays as it was.
    """

    def __init__(self, target_port: int, listener: socket.socket, tasks: TaskGroup) -> None:
        self._target_port = target_port
        self._listener = listener
        self._tasks = tasks
        self._links: set[_Link] = set()
        self._weather: dict[Direction, _Weather] = {"to_target": _Weather(), "to_client": _Weather()}
        self.port: int = listener.getsockname()[1]
        """Where clients connect, on 127.0.0.1."""

    @classmethod
    @asynccontextmanager
    async def open(cls, target_port: int) -> AsyncGenerator[Self]:
        """Forward a free loopback port to `target_port` on loopback for the time of the block."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            async with anyio.create_task_group() as tasks:
                proxy = cls(target_port, listener, tasks)
                tasks.start_soon(proxy._accept)
                yield proxy
                tasks.cancel_scope.cancel()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def pass_through(self, where: Where = "both") -> None:
        """Pass bytes on at once; what a blackhole has swallowed stays lost."""
        self._set(where, swallows=False, delay=0.0)

    def blackhole(self, where: Where = "both") -> None:
        """Swallow the bytes in the direction `where`, and say so to nobody."""
        self._set(where, swallows=True, delay=0.0)

    def delay(self, seconds: float, where: Where = "both") -> None:
        """Deliver each byte `seconds` after it came."""
        self._set(where, swallows=False, delay=seconds)

    async def reset(self) -> None:
        """End every open connection with RST; returns when all have ended."""
        links = list(self._links)
        for link in links:
            link.reset()
        with anyio.fail_after(_RESET_WITHIN):
            for link in links:
                await link.ended.wait()

    def _set(self, where: Where, *, swallows: bool, delay: float) -> None:
        for direction, weather in self._weather.items():
            if where in ("both", direction):
                weather.set(swallows=swallows, delay=delay)

    async def _accept(self) -> None:
        while True:
            await anyio.wait_readable(self._listener)
            with suppress(BlockingIOError, ConnectionAbortedError):  # the client has given up already
                client, _ = self._listener.accept()
                client.setblocking(False)
                self._tasks.start_soon(self._serve, client)

    async def _serve(self, client: socket.socket) -> None:
        link = _Link(client)
        self._links.add(link)
        try:
            await link.run(self._target_port, self._weather)
        finally:
            self._links.discard(link)


class _Link:
    """One client connection, joined to one connection to the target."""

    def __init__(self, client: socket.socket) -> None:
        self.ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._client = client
        self._target = socket.socket()
        self._target.setblocking(False)

    def reset(self) -> None:
        for side in (self._client, self._target):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._scope.cancel()

    async def run(self, port: int, weather: dict[Direction, _Weather]) -> None:
        try:
            with self._scope:
                if await _connect(self._target, port):
                    await self._join(weather)
        finally:
            self._client.close()
            self._target.close()
            self.ended.set()

    async def _join(self, weather: dict[Direction, _Weather]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pipe, self._client, self._target, weather["to_target"])
            tasks.start_soon(self._pipe, self._target, self._client, weather["to_client"])

    async def _pipe(self, source: socket.socket, sink: socket.socket, weather: _Weather) -> None:
        """Carry one direction to its end; a connection that breaks breaks the link."""
        outgoing, incoming = anyio.create_memory_object_stream[_Timed](_IN_FLIGHT)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_take, source, outgoing, weather)
                tasks.start_soon(_give, sink, incoming)
        except* OSError:
            self.reset()


async def _connect(target: socket.socket, port: int) -> bool:
    with suppress(OSError), anyio.fail_after(_CONNECT_WITHIN):
        with suppress(BlockingIOError):
            target.connect(("127.0.0.1", port))
        await anyio.wait_writable(target)
        return target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    return False


async def _take(source: socket.socket, outgoing: MemoryObjectSendStream[_Timed], weather: _Weather) -> None:
    with outgoing:
        data = b"?"
        while data:
            await anyio.wait_readable(source)
            data = source.recv(_CHUNK)
            while weather.swallows and not data:
                await weather.cleared.wait()  # in a real blackhole nobody hears of an end either
            if not weather.swallows:
                await outgoing.send((anyio.current_time() + weather.delay, data))


async def _give(sink: socket.socket, incoming: MemoryObjectReceiveStream[_Timed]) -> None:
    with incoming:
        async for due, data in incoming:
            await anyio.sleep_until(due)
            rest = memoryview(data)
            while rest:
                await anyio.wait_writable(sink)
                rest = rest[sink.send(rest) :]
            if not data:
                sink.shutdown(socket.SHUT_WR)
