"""A memory whose process is killed anywhere is as it was before or after each step, and recalls what is in its rows."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def killed(folder: Path, rounds: int, within: float) -> list[dict[str, Any]]:
    """Return what was found after each kill; what is wrong fails."""
    seed = random.randrange(1 << 30)  # noqa: S311 - printed, so that a failure can be repeated
    command = [sys.executable, "-m", "tests.store.episode_crash_child", str(folder), str(seed), str(rounds)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=within, check=False, cwd=Path(__file__).parents[2]
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == rounds, f"seed {seed}: {done.stderr}"
    assert [result for result in results if result["wrong"]] == [], f"seed {seed}"
    assert sum(result["said"] for result in results) > rounds, f"seed {seed}: the children did nothing"
    return results


@pytest.mark.chaos
def test_twenty_five_kills_mix_nothing_and_lose_nothing(tmp_path: Path) -> None:
    killed(tmp_path, 25, 50)


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_five_hundred_kills_mix_nothing_and_lose_nothing(tmp_path: Path) -> None:
    results = killed(tmp_path, 500, 880)
    assert {result["embedder"] for result in results} == {"fake-a", "fake-b"}
    for state in ("reindexing", "snapshot", "draft"):
        hit = sum(result[state] for result in results)
        assert 0 < hit < 500, f"{state}: {hit}"
