"""What tests of all rooms share: one kind of event loop, one real server, a clock that stands still."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from blockbuster import blockbuster_ctx

from callboard.bus import MemoryBroker, NatsServer

from .manual_clock import ManualClock

os.environ.setdefault("CALLBOARD_MODELS", str(Path(__file__).parents[1] / ".models"))
"""Where 'make test' has fetched the model to; said here too, for a test that is run by itself."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one kind of event loop that the project runs on."""
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
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[NatsServer]:
    """The real server, shared: use a fleet name of your own, and do not stop it.

    It lives on a loop in a thread of its own: each test has a fresh loop, and a failing one takes nothing along.
    """
    directory = tmp_path_factory.mktemp("nats")
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(NatsServer.open(directory, fleet="shop")) as server,
    ):
        yield server


@pytest.fixture
def memory_broker() -> MemoryBroker:
    """A broker of this test alone, without faults until the test asks for some."""
    return MemoryBroker()
