"""The proxy that other tests break the network with does what it says."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import get_args

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from .proxy import TcpProxy, Where


async def _echo(stream: SocketStream) -> None:
    async with stream:
        try:
            async for data in stream:
                await stream.send(data)
        except anyio.BrokenResourceError:
            return


@asynccontextmanager
async def _through_proxy() -> AsyncGenerator[tuple[TcpProxy, SocketStream]]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        target_port = int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django's
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, _echo)
            async with (
                TcpProxy.open(target_port) as proxy,
                await anyio.connect_tcp("127.0.0.1", proxy.port) as client,
            ):
                yield proxy, client
            tasks.cancel_scope.cancel()


async def _hears(client: SocketStream, *, within: float) -> bytes:
    with anyio.move_on_after(within):
        return await client.receive()
    return b""


async def test_passes_bytes_both_ways() -> None:
    async with _through_proxy() as (proxy, client):
        await client.send(b"hello")
        assert await _hears(client, within=5.0) == b"hello"
        assert proxy.connections == 1


async def test_passes_more_than_the_buffers_hold_unchanged() -> None:
    sent = bytes(range(256)) * 40_000
    async with _through_proxy() as (_, client), anyio.create_task_group() as tasks:
        tasks.start_soon(client.send, sent)
        heard = b""
        with anyio.fail_after(10.0):
            while len(heard) < len(sent):
                heard += await client.receive()
        assert heard == sent


@pytest.mark.parametrize("where", get_args(Where))
async def test_a_blackhole_swallows_silently_and_keeps_the_connection(where: Where) -> None:
    async with _through_proxy() as (proxy, client):
        proxy.blackhole(where)
        await client.send(b"lost")
        assert await _hears(client, within=0.2) == b""
        proxy.pass_through()
        await client.send(b"found")
        assert await _hears(client, within=5.0) == b"found"


async def test_a_blackhole_swallows_the_end_of_a_stream() -> None:
    async with _through_proxy() as (proxy, client):
        proxy.blackhole()
        await client.send_eof()
        assert await _hears(client, within=0.2) == b""
        proxy.pass_through()
        with anyio.fail_after(5.0), pytest.raises(anyio.EndOfStream):
            await client.receive()


async def test_a_delay_holds_back_each_byte_in_order() -> None:
    async with _through_proxy() as (proxy, client):
        proxy.delay(0.1)
        began = time.monotonic()
        await client.send(b"a")
        await client.send(b"b")
        heard = b""
        with anyio.fail_after(5.0):
            while heard != b"ab":
                heard += await client.receive()
        assert 0.2 <= time.monotonic() - began < 2.0


async def test_a_delay_does_not_add_up_over_a_stream() -> None:
    async with _through_proxy() as (proxy, client), anyio.create_task_group() as tasks:
        proxy.delay(0.1)
        began = time.monotonic()
        tasks.start_soon(client.send, b"x" * 2_000_000)
        heard = 0
        with anyio.fail_after(10.0):
            while heard < 2_000_000:
                heard += len(await client.receive())
        assert time.monotonic() - began < 2.0


async def test_a_reset_is_an_error_and_not_an_orderly_end() -> None:
    async with _through_proxy() as (proxy, client):
        await client.send(b"hello")
        assert await _hears(client, within=5.0) == b"hello"
        await proxy.reset()
        assert proxy.connections == 0
        with anyio.fail_after(5.0), pytest.raises(anyio.BrokenResourceError) as broken:
            await client.receive()
        assert isinstance(broken.value.__cause__, ConnectionResetError)


async def test_new_connections_pass_after_a_reset() -> None:
    async with _through_proxy() as (proxy, _):
        await proxy.reset()
        async with await anyio.connect_tcp("127.0.0.1", proxy.port) as again:
            await again.send(b"hello")
            assert await _hears(again, within=5.0) == b"hello"


async def test_a_target_that_is_away_ends_the_connection() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django's
    async with TcpProxy.open(port) as proxy, await anyio.connect_tcp("127.0.0.1", proxy.port) as client:
        with anyio.fail_after(5.0), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await client.receive()
