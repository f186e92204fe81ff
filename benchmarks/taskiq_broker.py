"""taskiq over its pull-based JetStream broker, one broker for who stores and who handles. Needs ``.venv-bench``."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from taskiq_nats import PullBasedJetStreamBroker

from .durable_jobs import Job, Lags

STREAM = "bench-taskiq"
LAGS = Lags()


def make(url: str) -> tuple[PullBasedJetStreamBroker, Any]:
    """Return a broker and its task."""
    broker = PullBasedJetStreamBroker(
        servers=url, subject="bench.taskiq.job", stream_name=STREAM, durable="taskiq-bench",
        stream_config=StreamConfig(retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE),
        consumer_config=ConsumerConfig(durable_name="taskiq-bench", max_ack_pending=1000),
    )  # fmt: skip

    async def handle(number: int, sent: float) -> None:
        LAGS.add(Job(number=number, sent=sent))

    return broker, broker.register_task(handle, task_name="bench:job")


@asynccontextmanager
async def open_taskiq(url: str) -> AsyncIterator[tuple[Callable[[int], Awaitable[object]], str]]:
    """Open the storing side; yield what stores a job, and the name of the stream."""
    broker, task = make(url)
    await broker.startup()
    try:
        yield (lambda number: task.kiq(number, time.monotonic())), STREAM
    finally:
        await broker.shutdown()
