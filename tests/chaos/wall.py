"""A wall clock that jumps in all processes of a run at once; the steady clock goes on."""

import mmap
import os
import struct
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from callboard.clock import SystemClock

VARIABLE: Final = "CALLBOARD_CHAOS_CLOCK"
"""Names the file that says by how many seconds the clock is off."""


class Wall:
    """The clock. What is written to its file, each process sees at once."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._off = mmap.mmap(opened.fileno(), 8)

    def now(self) -> float:
        """Return what all believe the time to be, in Unix seconds."""
        off: float = struct.unpack("<d", self._off)[0]
        return time.time() + off

    def jump(self, seconds: float) -> None:
        """Set how far it is off."""
        self._off[:] = struct.pack("<d", seconds)


def join() -> Wall | None:
    """Have this process read the clock that its environment names, if it names one."""
    if VARIABLE not in os.environ:
        return None
    wall = Wall(Path(os.environ[VARIABLE]))
    SystemClock.now = staticmethod(wall.now)
    return wall


@contextmanager
def jumping(folder: Path) -> Generator[Wall | None]:
    """Have this process, and those that it starts, read a clock that can jump, for the time of the block."""
    file = folder / "wall"
    file.write_bytes(bytes(8))
    os.environ[VARIABLE] = str(file)
    true = SystemClock.now
    try:
        yield join()
    finally:
        SystemClock.now = staticmethod(true)
        del os.environ[VARIABLE]
