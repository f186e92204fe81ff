"""The nats-py side's receiver as a process: ``python -m benchmarks.peer_nats``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .nats_receiver import NatsReceiver
from .nats_side import open_client
from .receiving import serve


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[None]:
    """Receive for the time of the block."""
    async with open_client(url) as client:
        await NatsReceiver().listen(client)
        yield


if __name__ == "__main__":
    serve(listening)
