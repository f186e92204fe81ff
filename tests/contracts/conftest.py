"""Every test in this folder runs on each transport: what holds for one must hold for the other."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from callboard.bus import Bus, ConnectOptions, MemoryBroker, NatsServer, connect
from callboard.ids import new_id

OpenBus = Callable[[], AbstractAsyncContextManager[Bus]]
"""Opens one more connection to the one broker of the test."""


@pytest.fixture(params=["memory", "nats"])
def open_bus(request: pytest.FixtureRequest, memory_broker: MemoryBroker, nats_server: NatsServer) -> OpenBus:
    """Open connections in memory, then to a real server."""
    if request.param == "memory":
        return memory_broker.bus
    login = nats_server.fleet_login
    options = ConnectOptions(url=nats_server.url, user=login.user, password=login.password)
    return lambda: connect(options)


@pytest.fixture
def fleet() -> str:
    """A fleet name that no other test uses: the real server is shared."""
    return f"f-{new_id()}"
