"""Change working memory until killed, and report what was acknowledged; run as a program by test_memory_kill.

Each of eight tasks goes through numbers of its own: it puts one under a key of its own, adds to a shared counter, and
appends to a shared list, then says so.
"""

import os
import sys
from functools import partial
from pathlib import Path

import anyio

from callboard.clock import SystemClock
from callboard.store import ActorFile

KEPT = 50


def appended(number: int, old: list[int]) -> list[int]:
    return [*old, number][-KEPT:]


async def main(folder: Path, first: int) -> None:
    async with (
        ActorFile.open(folder, "desk", epoch=1, clock=SystemClock()) as file,
        anyio.create_task_group() as tasks,
    ):

        async def work(task: int) -> None:
            for number in range(first, first + 1_000_000):
                await file.memory.put(f"task-{task}", number)
                await file.memory.incr("count")
                await file.memory.update("latest", partial(appended, number), type=list[int], default=[])
                os.write(1, f"{task} {number}\n".encode())

        for task in range(8):
            tasks.start_soon(work, task)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
