"""The server and the guardian are started again when they are killed, the server not for ever."""

import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from callboard.guardian import Guardian
from callboard.supervisor.records import Records, open_records
from callboard.supervisor.upkeep import INTENSITY, open_guardian, open_server
from callboard.testing import ManualClock

from .waiting import wait_until


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def records(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Records]:
    async with open_records(tmp_path / "daemon.db", clock=clock) as opened:
        yield opened


async def test_a_server_that_ends_again_and_again_is_given_up_with_the_reason(
    tmp_path: Path, clock: ManualClock, records: Records
) -> None:
    kinds: list[str] = []
    whys: list[str] = []
    records.listeners.append(lambda event: kinds.append(event.kind))
    with Guardian.start() as guardian:
        async with open_server(
            tmp_path / "nats", fleet="shop", guardian=guardian, records=records, clock=clock, give_up=whys.append
        ) as server:
            for times in range(1, INTENSITY.most + 2):
                killed = server.pid
                os.kill(killed, signal.SIGKILL)
                await wait_until(lambda: len(kinds) == times)  # noqa: B023
                if times <= INTENSITY.most:
                    await clock.advance(10.0)
                    await wait_until(lambda: server.pid != killed)  # noqa: B023
            await wait_until(lambda: bool(whys))
    assert kinds == ["server-exited"] * INTENSITY.most + ["server-held"]
    assert whys[0].startswith("6 failures of the nats-server within 60 s, the last: ")


async def test_a_killed_guardian_is_replaced_also_where_no_process_is_started(
    clock: ManualClock, records: Records
) -> None:
    kinds: list[str] = []
    records.listeners.append(lambda event: kinds.append(event.kind))
    async with open_guardian(records=records, clock=clock) as guardian:
        await wait_until(lambda: clock.sleepers == 1)
        os.kill(guardian.pid, signal.SIGKILL)
        await wait_until(lambda: not guardian.alive)
        await clock.advance(2.0)
        await wait_until(lambda: kinds == ["guardian-replaced"])
        assert guardian.alive
