"""Expired values go by themselves while a file is open, in small portions, and an idle file is not written to."""

import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio
import pytest

from callboard.store import ActorFile
from callboard.store.sweeping import BATCH, SWEEP_EVERY
from callboard.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def file(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[ActorFile]:
    async with ActorFile.open(tmp_path, "desk", epoch=1, clock=clock, synchronous="NORMAL") as file:
        yield file


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


def count(conn: sqlite3.Connection) -> int:
    return int(conn.execute("SELECT count(*) FROM memory").fetchone()[0])


async def test_what_has_expired_goes_from_the_file_by_itself(file: ActorFile, clock: ManualClock) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(2 * BATCH + 5):
            tasks.start_soon(file.memory.put, f"{number}", number)
    await file.memory.put("kept", 1, ttl=1e6)
    await until(lambda: clock.sleepers == 1)
    await clock.advance(7200.0)
    await until(lambda: file.sweeper.swept == 2 * BATCH + 5)
    assert await file.db.read(count) == 1
    assert await file.memory.get("kept", int) == 1


async def test_a_sweep_lets_other_writes_in_between_its_portions(file: ActorFile, clock: ManualClock) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(5 * BATCH):
            tasks.start_soon(file.memory.put, f"{number}", number)
    await until(lambda: clock.sleepers == 1)
    left = list[int]()
    await clock.advance(7200.0)
    while file.sweeper.swept < 5 * BATCH:
        left.append(await file.db.write(count))
    assert len(set(left) - {0, 5 * BATCH}) >= 2
    assert all(number % BATCH == 0 for number in left)


async def test_an_idle_file_is_not_written_to(file: ActorFile, clock: ManualClock) -> None:
    await file.memory.put("key", 1)
    log = file.db.path.with_name("desk.db-wal")
    before, changes = log.read_bytes(), await file.db.read(lambda conn: conn.total_changes)
    for _ in range(5):
        await until(lambda: clock.sleepers == 1)
        await clock.advance(SWEEP_EVERY)
    await until(lambda: clock.sleepers == 1)
    assert log.read_bytes() == before
    assert await file.db.read(lambda conn: conn.total_changes) == changes


async def test_a_disk_that_refuses_a_sweep_is_said_and_tried_again(file: ActorFile, clock: ManualClock) -> None:
    def refuse(conn: sqlite3.Connection) -> None:
        conn.execute("CREATE TEMP TRIGGER no BEFORE DELETE ON memory BEGIN SELECT raise(ABORT, 'worn out'); END")

    await file.memory.put("key", 1, ttl=1.0)
    await file.db.write(refuse)
    await until(lambda: clock.sleepers == 1)
    await clock.advance(SWEEP_EVERY)
    await until(lambda: "worn out" in file.sweeper.trouble)
    await file.db.write(lambda conn: conn.execute("DROP TRIGGER no").close())
    await until(lambda: clock.sleepers == 1)
    await clock.advance(SWEEP_EVERY)
    await until(lambda: file.sweeper.swept == 1)
    await until(lambda: not file.sweeper.trouble)
    assert await file.memory.get("key", default=None) is None


async def test_the_file_closes_in_the_middle_of_a_sweep(tmp_path: Path, clock: ManualClock) -> None:
    async with ActorFile.open(tmp_path, "desk", epoch=1, clock=clock, synchronous="NORMAL") as file:
        async with anyio.create_task_group() as tasks:
            for number in range(5 * BATCH):
                tasks.start_soon(file.memory.put, f"{number}", number)
        await until(lambda: clock.sleepers == 1)
        await clock.advance(7200.0)
        await until(lambda: file.sweeper.swept >= BATCH)
    async with ActorFile.open(tmp_path, "desk", epoch=2, clock=clock, synchronous="NORMAL") as file:
        assert await file.memory.items() == []
