"""Actors are tested on the one event loop that the project runs on."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Return the event loop of all tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of the models that tests run: 'make' fetches them once."""
    return Path(os.environ.get("CALLBOARD_MODELS") or Path(__file__).parents[2] / ".models")
