"""Actors are tested on the one event loop that the project runs on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Return the event loop of all tests."""
    return "asyncio"
