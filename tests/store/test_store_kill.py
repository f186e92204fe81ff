"""A process killed in the middle of its commits leaves the state before or after each of them."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.chaos
def test_forty_kills_mix_nothing_and_lose_nothing_acknowledged(tmp_path: Path) -> None:
    seed, rounds = random.randrange(1 << 30), 40  # noqa: S311 - printed, so that a failure can be repeated
    program = Path(__file__).with_name("crash_child.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(seed), str(rounds)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == rounds, f"seed {seed}: {done.stderr}"
    bad = [result for result in results if result["mixed"] or result["lost"] or result["check"] != "ok"]
    assert bad == [], f"seed {seed}"
    assert all(result["new"] > 0 for result in results), f"seed {seed}: a child wrote nothing"
