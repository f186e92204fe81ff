"""Every test in this folder runs on each transport: what holds for one must hold for the other."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

import pytest

from callboard.bus import Bus, Exchange, MemoryBroker, NatsServer, answer_where, connect
from callboard.ids import new_id

from .raw_actor import RawActor
from .stage import Stage, speaking

OpenBus = Callable[[], AbstractAsyncContextManager[Bus]]
"""Opens one more connection to the one broker of the test."""


@pytest.fixture
def exchange(request: pytest.FixtureRequest) -> Exchange | None:
    """Return what a process has in common, where the test is about neighbours."""
    callspec = getattr(request.node, "callspec", None)
    return Exchange() if callspec is not None and callspec.params.get("open_bus") == "neighbours" else None


@pytest.fixture(params=["memory", "nats", "neighbours"])
def open_bus(request: pytest.FixtureRequest, memory_broker: MemoryBroker, nats_server: NatsServer) -> OpenBus:
    """Open connections in memory, then to a real server, then in memory for neighbours in one process."""
    if request.param != "nats":
        return memory_broker.bus
    return lambda: connect(nats_server.options())


@pytest.fixture
def fleet() -> str:
    """A fleet name that no other test uses: the real server is shared."""
    return f"f-{new_id()}"


class OpenStage(Protocol):
    """Opens a stage of three connections."""

    def __call__(self, name: str = "worker", of: str = "") -> AbstractAsyncContextManager[Stage]:
        """Call the actor `name`, and the fleet `of`; empty is one of the test's own."""
        ...


@pytest.fixture
def open_stage(open_bus: OpenBus, exchange: Exchange | None, fleet: str) -> OpenStage:
    """Open stages on one broker."""

    @asynccontextmanager
    async def _open(name: str = "worker", of: str = "") -> AsyncGenerator[Stage]:
        of = of or fleet
        async with AsyncExitStack() as stack:
            buses = [await stack.enter_async_context(open_bus()) for _ in range(3)]
            speaker = await stack.enter_async_context(speaking(buses[0], of, "front", exchange=exchange))
            daemon = await stack.enter_async_context(speaking(buses[1], of, "daemon"))
            stage = Stage(of, speaker, daemon, RawActor(buses[2], of, name, exchange=exchange))
            await answer_where(daemon, stage.where)
            await buses[1].flush()
            await stage.actor.open()
            yield stage

    return _open
