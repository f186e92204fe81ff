"""A nats-server that runs and answers nobody is killed, and started again by who keeps it."""

import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from callboard.clock import SystemClock
from callboard.guardian import Guardian
from callboard.supervisor.records import Records, open_records
from callboard.supervisor.upkeep import open_server

from .waiting import wait_until

STUCK = 2.0


@pytest.fixture
async def records(tmp_path: Path) -> AsyncGenerator[Records]:
    async with open_records(tmp_path / "daemon.db", clock=SystemClock()) as opened:
        yield opened


@pytest.mark.chaos
async def test_a_stopped_server_is_replaced_and_a_paused_one_is_not(tmp_path: Path, records: Records) -> None:
    kinds: list[str] = []
    records.listeners.append(lambda event: kinds.append(event.kind))
    with Guardian.start() as guardian:
        async with open_server(
            tmp_path / "nats", fleet="shop", guardian=guardian, records=records, clock=SystemClock(),
            give_up=pytest.fail, stuck_after=STUCK,
        ) as server:  # fmt: skip
            first = server.pid
            os.kill(first, signal.SIGSTOP)
            await anyio.sleep(STUCK / 2)
            os.kill(first, signal.SIGCONT)
            await wait_until(lambda: not kinds and server.pid == first)
            os.kill(first, signal.SIGSTOP)
            began = anyio.current_time()
            await wait_until(lambda: server.pid != first)
            assert anyio.current_time() - began > STUCK * 0.7
            with anyio.fail_after(10):
                while not await server.answers():  # noqa: ASYNC110 - another process, which tells nobody
                    await anyio.sleep(0.01)
    assert kinds == ["server-stuck", "server-exited"]
