"""What tests of all rooms share: one event loop, one real server, a clock that stands still."""

from collections.abc import AsyncGenerator, Generator

import pytest
from blockbuster import blockbuster_ctx

from callboard.bus import MemoryBroker, NatsServer

from .manual_clock import ManualClock


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop that the project runs on, kept for the session so that the server can be shared."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest uses it
    """Fail a test in which the bus blocks the event loop.

    The other rooms are not watched, where it would cry wolf: handlers run inside the actors' frames and a user may do
    as they like, the supervisor touches the disk while it starts and there is nobody to hold up yet, and tests of the
    store call its synchronous parts directly.
    """
    with blockbuster_ctx("callboard.bus"):
        yield


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture(scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[NatsServer]:
    """The real server, shared: use a fleet name of your own, and do not stop it."""
    async with NatsServer.open(tmp_path_factory.mktemp("nats"), fleet="shop") as server:
        yield server


@pytest.fixture
def memory_broker() -> MemoryBroker:
    """A broker of this test alone, without faults until the test asks for some."""
    return MemoryBroker()
