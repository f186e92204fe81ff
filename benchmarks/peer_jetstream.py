"""What one writes by hand for the same promise: a pull consumer of nats-py, an inbox in SQLite, and ``ack_sync``.

Run as ``python -m benchmarks.peer_jetstream``. The inbox is our own store's, so that both commit in the same way and in
company: what is compared is what stands around it. There are no steps, no outbox, no retries and no dead letters here.
"""

import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NothingCame
from nats.js.client import JetStreamContext

from callboard.background import background
from callboard.store import ACTOR, Database

from .durable_jobs import COUNT, STREAM, SUBJECT, Job, Lags
from .nats_side import open_client
from .receiving import serve
from .side import IN_FLIGHT

_job: Final = msgspec.json.Decoder(Job)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[None]:
    """Handle tasks for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        async with (
            open_client(url) as client,
            Database.open(Path(folder) / "inbox.db", migrations=ACTOR) as db,
            background() as tasks,
        ):
            lags = Lags()
            await client.subscribe(COUNT, cb=lags.answer)
            tasks.start_soon(_handle_all, client, db, lags)
            yield


async def _handle_all(client: Client, db: Database, lags: Lags) -> None:
    js: JetStreamContext = client.jetstream()
    source = await js.pull_subscribe(SUBJECT, durable="worker", stream=STREAM)
    free = anyio.Semaphore(IN_FLIGHT)
    async with anyio.create_task_group() as tasks:
        while True:
            try:
                messages = await source.fetch(IN_FLIGHT, timeout=1)
            except (TimeoutError, NothingCame):
                continue
            for message in messages:
                await free.acquire()
                tasks.start_soon(_handle, message, db, lags, free)


async def _handle(message: Msg, db: Database, lags: Lags, free: anyio.Semaphore) -> None:
    try:
        lags.add(_job.decode(message.data))
        task, now = (message.headers or {})["Nats-Msg-Id"], time.time()

        def commit(conn: sqlite3.Connection) -> None:
            conn.execute("INSERT OR IGNORE INTO inbox (task, done) VALUES (?, ?)", (task, now))

        await db.write(commit)
        await message.ack_sync()
    finally:
        free.release()


if __name__ == "__main__":
    serve(listening)
