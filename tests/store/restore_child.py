"""Restore two backups in turn until killed; run as a program by test_backup_kill."""

import itertools
import sys
from pathlib import Path

import anyio

from callboard.clock import SystemClock
from callboard.store import ActorFile, restore_memory


async def main(folder: Path) -> None:
    async with ActorFile.open(folder, "desk", epoch=1, clock=SystemClock()) as file:
        for name in itertools.cycle(["a", "b"]):
            await restore_memory(file, folder / f"{name}.db")
            print(name, flush=True)  # noqa: T201 - the program's output


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
