"""The sides of durable work: each stores jobs from this process, and has them handled in another."""

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Final, Protocol

import anyio
import msgspec
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from callboard import Actor, Context, Fleet, receive
from callboard.guardian import Guardian

from .durable_jobs import COUNT, STREAM, SUBJECT, TASKIQ_COUNT, CountJobs, Handled, Job, Lags
from .names import NATS, OURS, TASKIQ
from .nats_side import open_client
from .receiving import receiver
from .side import ASK_WITHIN, IN_FLIGHT, WrongResult

LOOK_EVERY: Final = 0.002
_handled: Final = msgspec.json.Decoder(Handled)


class DurableSide(Protocol):
    """One of those compared."""

    async def store(self, number: int) -> None:
        """Store one job; returns when it is on disk."""
        ...

    async def waiting(self) -> int:
        """Return how many are stored and not acknowledged."""
        ...

    async def handled(self) -> Handled:
        """Return what the receiver has handled since it was asked last."""
        ...


async def done_per_second(side: DurableSide, count: int) -> float:
    """Return tasks a second, from the first one stored to the last one acknowledged, 64 being stored at any time."""
    begin, numbers = time.perf_counter(), iter(range(count))

    async def keep_storing() -> None:
        for number in numbers:
            await side.store(number)

    async with anyio.create_task_group() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.start_soon(keep_storing)
    await _all_done(side)
    seconds = time.perf_counter() - begin
    if (handled := (await side.handled()).count) != count:
        raise WrongResult(f"{side} stored {count} jobs and its receiver handled {handled}")
    return count / seconds


async def _all_done(side: DurableSide) -> None:
    while await side.waiting():  # noqa: ASYNC110 - a queue tells nobody that it is empty
        await anyio.sleep(LOOK_EVERY)


async def median_wait(side: DurableSide, count: int) -> float:
    """Return microseconds from the call that stores a task to its handler, each alone; the median."""
    for number in range(count):
        await side.store(number)
        await _all_done(side)
    handled = await side.handled()
    if handled.count != count:
        raise WrongResult(f"{side} stored {count} jobs and its receiver handled {handled.count}")
    return handled.lag * 1e6


# --- ours


class Taker(Actor):
    """Handles jobs, as many at once as the peers."""

    concurrency = IN_FLIGHT

    def __init__(self) -> None:
        self.lags = Lags()

    @receive
    async def job(self, message: Job, _ctx: Context) -> None:
        """Handle a job."""
        self.lags.add(message)

    @receive
    async def count(self, _message: CountJobs, _ctx: Context) -> Handled:
        """Say how many there were."""
        return self.lags.take()


class Ours:
    """Enqueues through a fleet; all defaults."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def store(self, number: int) -> None:
        """Store one job."""
        await self._fleet.enqueue(Taker.job, Job(number=number, sent=time.monotonic()))

    async def waiting(self) -> int:
        """Return how many are not acknowledged."""
        return await self._fleet.queued(Taker)

    async def handled(self) -> Handled:
        """Return what was handled."""
        return await self._fleet.ask(Taker.count, CountJobs(), timeout=ASK_WITHIN)


# --- by hand


class ByHand:
    """JetStream through nats-py, as its documentation shows it."""

    def __init__(self, client: Client) -> None:
        self._client, self._js = client, client.jetstream()

    async def open(self) -> "ByHand":
        """Make the stream and its consumer."""
        config = StreamConfig(
            name=STREAM, subjects=[SUBJECT], retention=RetentionPolicy.WORK_QUEUE, storage=StorageType.FILE
        )
        await self._js.add_stream(config)
        await self._js.add_consumer(STREAM, ConsumerConfig(durable_name="worker", max_ack_pending=1000))
        return self

    async def store(self, number: int) -> None:
        """Store one job."""
        data = msgspec.json.encode(Job(number=number, sent=time.monotonic()))
        await self._js.publish(SUBJECT, data, headers={"Nats-Msg-Id": uuid.uuid4().hex})

    async def waiting(self) -> int:
        """Return how many are not acknowledged."""
        return int((await self._js.stream_info(STREAM)).state.messages)

    async def handled(self) -> Handled:
        """Return what was handled."""
        return _handled.decode((await self._client.request(COUNT, b"", timeout=ASK_WITHIN)).data)


class Taskiq:
    """taskiq over its JetStream broker."""

    def __init__(self, client: Client, kick: Callable[[int], Awaitable[object]], stream: str) -> None:
        self._client, self._kick, self._stream = client, kick, stream

    async def store(self, number: int) -> None:
        """Store one job."""
        await self._kick(number)

    async def waiting(self) -> int:
        """Return how many are not acknowledged."""
        return int((await self._client.jetstream().stream_info(self._stream)).state.messages)

    async def handled(self) -> Handled:
        """Return what was handled."""
        return _handled.decode((await self._client.request(TASKIQ_COUNT, b"", timeout=ASK_WITHIN)).data)


def has_taskiq() -> bool:
    """Return whether taskiq can be measured here."""
    return find_spec("taskiq_nats") is not None


_numbers: Final = itertools.count()


@asynccontextmanager
async def open_durable(url: str, *, guardian: Guardian) -> AsyncIterator[dict[str, DurableSide]]:
    """Open all sides on one server, each receiver in a process of its own."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(f"bench-durable-{next(_numbers)}", [Taker], nats=url, isolation="process")
        sides: dict[str, DurableSide] = {OURS: Ours(await stack.enter_async_context(fleet))}
        client = await stack.enter_async_context(open_client(url))
        sides[NATS] = await ByHand(client).open()
        await stack.enter_async_context(receiver("benchmarks.peer_jetstream", url, guardian=guardian))
        if has_taskiq():
            from .taskiq_broker import open_taskiq  # only in .venv-bench

            await stack.enter_async_context(receiver("benchmarks.peer_taskiq", url, guardian=guardian))
            sides[TASKIQ] = Taskiq(client, *await stack.enter_async_context(open_taskiq(url)))
        yield sides
