"""The daemon's part in durable work: it makes the queues, and looks after them. No task passes through it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import TaskGroup

from callboard.actors import ActorSpec, ack_wait_of
from callboard.bus import NoQueues, QueueDamaged, WorkQueue
from callboard.clock import Clock
from callboard.errors import CallboardError

from .records import Records
from .undertaker import Undertaker

WAITING_MOST: Final = 512 * 1024 * 1024
"""Bytes of dead letters that may wait unfiled; beyond it what is to be taken away stays in its queue."""
AGAIN_AFTER: Final = 1.0
"""Seconds after which queues that could not be opened are tried again."""
MEND_EVERY: Final = 30.0
"""Seconds between two looks at what a killed server has left in the queues."""

Specs = Callable[[], Sequence[ActorSpec]]
"""Returns the actors as they are now: a reload changes them."""


async def declare_queues(queue: WorkQueue, fleet: str, specs: Sequence[ActorSpec]) -> None:
    """Make the queues of a fleet, or bring them up to date; raises NoQueues, QueueDamaged, BusUnavailable."""
    await queue.declare_dead(fleet, most_bytes=WAITING_MOST)
    faults: list[CallboardError] = []
    async with anyio.create_task_group() as tasks:
        for spec in specs:
            tasks.start_soon(_declare, queue, fleet, spec, faults)
    if faults:
        raise faults[0]


async def open_queues(queue: WorkQueue, fleet: str, specs: Sequence[ActorSpec]) -> None:
    """Let what is stored be given out; raises what declare_queues does. Beside the start: it takes a while."""
    for spec in specs:
        ack_wait = ack_wait_of(spec.health.silent_after)
        await queue.open(fleet, spec.name, ack_wait=ack_wait)
    longest = max((ack_wait_of(spec.health.silent_after) for spec in specs), default=0.0)
    await queue.declare_topics(fleet, {spec.name: spec.kept for spec in specs}, ack_wait=longest)


async def make_queues(
    queue: WorkQueue,
    fleet: str,
    specs: Specs,
    undertaker: Undertaker,
    *,
    records: Records,
    tasks: TaskGroup,
    clock: Clock,
) -> str:
    """Make the queues of a fleet and look after them in `tasks`; return why there are none, if so.

    They are opened beside what comes next, again and again while the server is away. Raises QueueDamaged.
    """
    try:
        await declare_queues(queue, fleet, specs())
    except NoQueues as error:
        return error.text
    tasks.start_soon(undertaker.run)
    tasks.start_soon(_open_surely, queue, fleet, specs, undertaker, records, clock)
    tasks.start_soon(_mend, queue, fleet, specs, clock)
    return ""


async def _open_surely(
    queue: WorkQueue, fleet: str, specs: Specs, undertaker: Undertaker, records: Records, clock: Clock
) -> None:
    told = ""
    while True:
        try:
            await undertaker.take_unwanted(specs())
            await open_queues(queue, fleet, specs())
        except CallboardError as error:  # the server is away, or it starts or stops and says that it has no queues
            if isinstance(error, QueueDamaged) and error.text != told:
                told = error.text
                await records.add("queue-damaged", str(error.detail.get("actor", fleet)), told)
            await clock.sleep(AGAIN_AFTER)
        else:
            return


async def _mend(queue: WorkQueue, fleet: str, specs: Specs, clock: Clock) -> None:
    while True:
        await clock.sleep(MEND_EVERY)
        with suppress(CallboardError):  # the same: the next time
            await queue.mend(fleet, [spec.name for spec in specs()])


async def _declare(queue: WorkQueue, fleet: str, spec: ActorSpec, faults: list[CallboardError]) -> None:
    try:
        await queue.declare(fleet, spec.name, most=spec.queue)
    except CallboardError as error:
        faults.append(error)
