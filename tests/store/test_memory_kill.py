"""What working memory has acknowledged is there after kill -9, and nothing is half there."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from callboard.clock import SystemClock
from callboard.store import ActorFile

TASKS = 8


def killed(folder: Path, first: int, delay: float) -> dict[int, list[int]]:
    """Run a child, kill it `delay` seconds after it has begun, and return what it said of each task."""
    program = Path(__file__).with_name("memory_child.py")
    command = [sys.executable, str(program), str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        text = child.stdout.readline()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        text += child.stdout.read()
    said = dict[int, list[int]]()
    for line in text[: text.rindex("\n")].splitlines():
        task, number = map(int, line.split())
        said.setdefault(task, []).append(number)
    return said


async def found(folder: Path) -> tuple[int, list[int]]:
    async with ActorFile.open(folder, "desk", epoch=1, clock=SystemClock(), synchronous="NORMAL") as file:
        kept = [await file.memory.get(f"task-{task}", int, default=-1) for task in range(TASKS)]
        return await file.memory.get("count", int, default=0), kept


@pytest.mark.chaos
def test_eight_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)  # noqa: S311 - printed, so that a failure can be repeated
    chance = random.Random(seed)  # noqa: S311 - the same
    acknowledged = 0
    for turn in range(8):
        said = killed(tmp_path, turn * 1_000_000, chance.uniform(0.0, 0.1))
        acknowledged += sum(map(len, said.values()))
        count, kept = anyio.run(found, tmp_path)
        assert acknowledged <= count <= acknowledged + TASKS * (turn + 1), f"seed {seed}"
        for task, numbers in said.items():
            assert kept[task] in {numbers[-1], numbers[-1] + 1}, f"seed {seed}"
