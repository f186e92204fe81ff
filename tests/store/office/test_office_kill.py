"""An office whose process is killed anywhere has spent and reserved what it said, and no budget is passed."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest


def killed(folder: Path, rounds: int, within: float) -> None:
    seed = random.randrange(1 << 30)  # noqa: S311 - printed, so that a failure can be repeated
    command = [sys.executable, "-m", "tests.store.office.crash_child", str(folder), str(seed), str(rounds)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=within, check=False, cwd=Path(__file__).parents[3]
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == rounds, f"seed {seed}: {done.stderr}"
    assert [result for result in results if result["wrong"]] == [], f"seed {seed}"
    assert sum(result["said"] for result in results) > 20 * rounds, f"seed {seed}: the children did nothing"
    assert sum(result["dead"] for result in results) > rounds, f"seed {seed}: nobody died with a lease"


@pytest.mark.chaos
def test_fifteen_kills_lose_no_entry_and_pass_no_budget(tmp_path: Path) -> None:
    killed(tmp_path, 15, 50)


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_three_hundred_kills_lose_no_entry_and_pass_no_budget(tmp_path: Path) -> None:
    killed(tmp_path, 300, 880)
