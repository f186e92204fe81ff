"""A process killed in the middle of a restore leaves the memory of before or of after."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from callboard.clock import SystemClock
from callboard.store import ActorFile, back_up

VALUES = 3000


async def made(folder: Path, name: str) -> None:
    """Make a backup in which each value is its name."""
    async with ActorFile.open(folder / name, "desk", epoch=1, clock=SystemClock(), synchronous="NORMAL") as file:
        async with anyio.create_task_group() as tasks:
            for number in range(VALUES):
                tasks.start_soon(file.memory.put, f"{name}-{number}", name)
        await back_up(file.db, folder / f"{name}.db")


async def left(folder: Path) -> list[str]:
    async with ActorFile.open(folder, "desk", epoch=1, clock=SystemClock(), synchronous="NORMAL") as file:
        return [value for _, value in await file.memory.items(type=str)]


def killed(folder: Path, delay: float) -> str:
    """Let a child restore in turn, kill it `delay` seconds after its first one, and return what it said last."""
    program = Path(__file__).with_name("restore_child.py")
    with subprocess.Popen([sys.executable, str(program), str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        return (said + child.stdout.read()).split()[-1]


@pytest.mark.chaos
def test_ten_kills_leave_one_backup_or_the_other_whole(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)  # noqa: S311 - printed, so that a failure can be repeated
    chance = random.Random(seed)  # noqa: S311 - the same
    for name in ("a", "b"):
        anyio.run(made, tmp_path, name)
    for _ in range(10):
        last = killed(tmp_path, chance.uniform(0.0, 0.05))
        found = anyio.run(left, tmp_path)
        assert found in (["a"] * VALUES, ["b"] * VALUES), f"seed {seed}: {len(found)} values of {set(found)}"
        assert last in {"a", "b"}
