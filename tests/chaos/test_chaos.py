"""The short chaos run of ``make test``."""

import random
from pathlib import Path

import pytest

from .run import chaos

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cells import the agents by the name that pytest gave their module."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))


async def test_the_ledger_of_a_chaos_run_comes_out_even(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10_000)
    said: list[str] = []
    wrong, ledger = await chaos(tmp_path, seconds=12.0, seed=seed, say=said.append)
    story = "\n".join([f"seed {seed}", *said, *ledger, *wrong])
    print(story)  # noqa: T201 - pytest shows it when it fails
    assert not wrong, story
