"""The examples are no installed package: they are imported from the checkout."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.examples.made import MadeRepository, Reviewer  # noqa: E402 - found by the line above


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    """An empty repository called ``sample``."""
    return MadeRepository(tmp_path / "sample")


@pytest.fixture
def reviewer(tmp_path: Path) -> Reviewer:
    """A reviewer whose only root is the temporary directory."""
    return Reviewer(roots=(str(tmp_path),))


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop that the project runs on."""
    return "asyncio"
