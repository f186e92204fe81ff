"""A proxy that can put words into the server's mouth."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class Liar:
    """A proxy that can put words into the server's mouth."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._clients: list[anyio.abc.SocketStream] = []
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncGenerator["Liar"]:
        """Stand between clients and the server at `port` for the time of the block."""
        liar = cls(port)
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            liar.url = f"nats://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"  # noqa: S610 - not Django's
            tasks.start_soon(listener.serve, liar._serve)
            yield liar
            tasks.cancel_scope.cancel()

    async def say(self, data: bytes) -> None:
        """Tell the newest client `data`, as if the server had said it."""
        await self._clients[-1].send(data)

    async def _serve(self, client: anyio.abc.SocketStream) -> None:
        self._clients.append(client)
        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", self._target) as server,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._pump, client, server, tasks.cancel_scope)
            tasks.start_soon(self._pump, server, client, tasks.cancel_scope)

    async def _pump(
        self, source: anyio.abc.SocketStream, sink: anyio.abc.SocketStream, scope: anyio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        finally:
            scope.cancel()
