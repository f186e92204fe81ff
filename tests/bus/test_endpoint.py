"""What an endpoint does when its real server stops taking bytes; its promises stand in tests/contracts."""

import os
import signal
import time
from pathlib import Path

import pytest

from callboard.bus import DeadlineExceeded, Endpoint, Kind, NatsServer, connect
from callboard.clock import SystemClock

from ..contracts.raw_actor import said


async def test_a_deadline_holds_also_while_the_server_takes_nothing(tmp_path: Path) -> None:
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        connect(server.options()) as bus,
        Endpoint(bus, fleet="shop", cell="front", clock=SystemClock()) as endpoint,
    ):
        await bus.flush()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for _ in range(40):
                bus.publish("elsewhere", bytes(1_000_000))
            assert bus.congested
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                await endpoint.ask("worker", said(Kind.ASK, reply=endpoint.inbox), timeout=0.2)
            assert time.monotonic() - began < 1.0
        finally:
            os.kill(server.pid, signal.SIGCONT)
