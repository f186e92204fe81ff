"""A nats-server whose disk was full is started anew until it stores again, whatever becomes of its process."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from callboard.bus import ConnectOptions, NatsServer, NotStored, connect, find_binary, subjects
from callboard.bus.connection import Connection
from callboard.guardian import Guardian
from callboard.supervisor.records import Records, open_records
from callboard.supervisor.thaw import LOOK_EVERY
from callboard.supervisor.upkeep import open_server
from callboard.testing import ManualClock

from .small_disk import SmallDisk
from .waiting import wait_until

WITHIN = 2.0
LOAD = b"x" * 60_000

pytestmark = pytest.mark.chaos


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Records]:
    async with open_records(tmp_path / "daemon.db", clock=clock) as opened:
        yield opened


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a small disk where the server stores."""
    with SmallDisk.mounted(tmp_path / "nats" / "jetstream", "2m") as mounted:
        yield mounted


@pytest.fixture
def binary(tmp_path: Path, disk: SmallDisk) -> Path:
    """Return a nats-server that sees the small disk."""
    script = tmp_path / "nats-server"
    script.write_text(f'#!/bin/sh\nexec {" ".join(disk.inside)} {find_binary()} "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return script


@pytest.mark.parametrize("hangs", [False, True], ids=["it-ends-when-asked", "it-outlives-its-kill"])
async def test_a_server_that_was_frozen_is_started_anew_and_stores(
    tmp_path: Path, records: Records, clock: ManualClock, disk: SmallDisk, binary: Path, hangs: bool
) -> None:
    kinds: list[str] = []
    records.listeners.append(lambda event: kinds.append(event.kind))
    with Guardian.start() as guardian:
        async with open_server(
            tmp_path / "nats", fleet="shop", binary=binary, guardian=guardian, records=records, clock=clock,
            give_up=pytest.fail,
        ) as server:  # fmt: skip
            frozen = server.pid
            if hangs:
                _outlive(server)
            async with connect(_options(server)) as bus:
                await bus.queue.declare("shop", "desk")
                with pytest.raises(NotStored):
                    await _fill(bus)
            disk.remount("size=64m")
            await wait_until(lambda: clock.sleepers == 2)
            await clock.advance(LOOK_EVERY)
            await wait_until(lambda: server.pid != frozen)
            async with connect(_options(server)) as bus:
                await _store(bus, "later")
    assert kinds == ["server-frozen", *(["server-undead"] if hangs else []), "server-exited"]


def _outlive(server: NatsServer) -> None:
    """Have its process end as on a disk that hangs: later than anybody waits for it."""
    process = server._process
    assert process is not None

    async def end() -> bool:
        process.kill()
        return process.code is not None

    process.end = end  # type: ignore[method-assign]


def _options(server: NatsServer) -> ConnectOptions:
    return server.options()


async def _fill(bus: Connection) -> None:
    for number in range(100):
        await _store(bus, f"task-{number}")


async def _store(bus: Connection, task: str) -> None:
    place = subjects.work("shop", "desk", lane="normal", sender="front")
    await bus.queue.store(place, LOAD, id=task, timeout=WITHIN)
