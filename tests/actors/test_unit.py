"""One try of one task: what it may do again, and what nobody knows."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from callboard.actors import NotDone
from callboard.actors.unit import Unit
from callboard.clock import SystemClock
from callboard.store import ActorFile, Known

from .holdup import Holdup, wait_pending


@pytest.fixture
async def file(tmp_path: Path) -> AsyncGenerator[ActorFile]:
    """Return the open file of an actor."""
    async with ActorFile.open(tmp_path, "desk", epoch=1, clock=SystemClock(), synchronous="NORMAL") as opened:
        yield opened


@asynccontextmanager
async def acting(file: ActorFile, send: Callable[[], Awaitable[None]]) -> AsyncGenerator[anyio.CancelScope]:
    """Take the act ``send`` beside the block; yield what stops it. The block ends when it has ended."""
    unit, scope = Unit("t-1", file.tasks, file.layer(), Known()), anyio.CancelScope()

    async def act() -> None:
        with suppress(NotDone), scope:
            await unit.step("send", send, (), returns=None, act=True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(act)
        yield scope


async def test_an_act_that_is_stopped_while_it_is_claimed_has_not_begun_and_may_be_tried_again(file: ActorFile) -> None:
    sent: list[str] = []

    async def send() -> None:
        sent.append("sent")

    before, behind = Holdup(), Holdup()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(file.db.write, before)
        await before.wait_begun()
        async with acting(file, send) as scope:
            await wait_pending(file.db, 2)
            tasks.start_soon(file.db.write, behind)
            await wait_pending(file.db, 3)
            before.end()
            await behind.wait_begun()  # the claim was written in the same transaction, which is not committed
            scope.cancel()
            behind.end()
    assert sent == []
    assert (await file.tasks.known("t-1")).steps == {}


async def test_an_act_that_did_nothing_may_be_tried_again_though_its_task_was_stopped_meanwhile(
    file: ActorFile,
) -> None:
    holdup = Holdup()
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            tasks.start_soon(file.db.read, holdup)
            await holdup.wait_begun()
            scope.cancel()
            raise NotDone("the line was busy")

        async with acting(file, send) as scope:
            await holdup.wait_begun()
            await anyio.wait_all_tasks_blocked()
            holdup.end()
    assert (await file.tasks.known("t-1")).steps == {}
