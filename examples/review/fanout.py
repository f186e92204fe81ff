"""Many questions at once, a bounded number of them, each asked again when who held it died.

A question must mean the same however often it is asked. Then a killed agent costs time and changes nothing
else.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, TypeVar

import anyio

from callboard.errors import CallboardError, PeerError, WorldError

from .errors import CALLER_FAULTS

J = TypeVar("J")
R = TypeVar("R")

DELAYS: Final = (0.2, 0.5, 1.0)
"""Seconds before each retry; there are as many retries as delays."""

Sleep = Callable[[float], Awaitable[None]]


async def persist(ask: Callable[[], Awaitable[R]], *, sleep: Sleep = anyio.sleep) -> R:
    """Return what `ask` returns; ask again, after a pause, when the other side or the world failed.

    An error that is the caller's own is raised at once, also where the other side only passes it on: the same
    question would fail again.
    """
    for delay in DELAYS:
        try:
            return await ask()
        except (PeerError, WorldError) as error:
            if error.detail.get("exception") in CALLER_FAULTS:
                raise
            await sleep(delay)
    return await ask()


async def fan_out(
    jobs: Iterable[J],
    ask: Callable[[J], Awaitable[R]],
    *,
    take: Callable[[R], None],
    at_once: int,
    sleep: Sleep = anyio.sleep,
) -> None:
    """Ask for each job, `at_once` at a time, and hand each answer to `take` as it comes.

    Raises:
        CallboardError: the first that retries did not cure; what is still under way is cancelled.

    """
    waiting = iter(jobs)
    failed: list[CallboardError] = []

    async def _serve() -> None:
        for job in waiting:
            try:
                take(await persist(partial(ask, job), sleep=sleep))
            except CallboardError as error:
                failed.append(error)
                group.cancel_scope.cancel()
                return

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(_serve)
    if failed:
        raise failed[0]
