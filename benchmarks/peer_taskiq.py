"""The taskiq side's worker as a process: ``python -m benchmarks.peer_taskiq``. Needs ``.venv-bench``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskiq.api import run_receiver_task

from callboard.background import background

from .durable_jobs import TASKIQ_COUNT
from .nats_side import open_client
from .receiving import serve
from .side import IN_FLIGHT
from .taskiq_broker import LAGS, make


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[None]:
    """Handle tasks for the time of the block, as many at once as the others."""
    broker, _ = make(url)
    broker.is_worker_process = True
    async with open_client(url) as client, background() as tasks:
        await client.subscribe(TASKIQ_COUNT, cb=LAGS.answer)
        await broker.startup()
        tasks.start_soon(lambda: run_receiver_task(broker, max_async_tasks=IN_FLIGHT, run_startup=False))
        yield
    await broker.shutdown()


if __name__ == "__main__":
    serve(listening)
