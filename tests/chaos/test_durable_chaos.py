"""The short run of durable work of ``make test``."""

import random
from pathlib import Path

import pytest

from .durable import LEAST, chaos

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


async def test_thousands_of_tasks_are_done_once_while_everything_is_killed_twenty_times(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10_000)
    said: list[str] = []
    wrong, ledger = await chaos(tmp_path, seconds=40.0, seed=seed, say=said.append, count=5_200, least=LEAST)
    story = "\n".join([f"seed {seed}", *said, *ledger, *wrong])
    print(story)  # noqa: T201 - pytest shows it when it fails
    assert not wrong, story
