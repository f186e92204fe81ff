"""The stack of a process that does not answer: where exactly its loop is blocked.

The cell registers a signal whose only effect is that the interpreter writes the stack of every thread to a file. It is
handled inside the signal itself, so it works while the loop is in a blocking call or spins in C, and it needs no lock
and no cooperation. A stopped process does not handle it; then there is nothing to say but that it is stopped.
"""

import faulthandler
import os
import re
import signal
from pathlib import Path
from typing import IO, Final

import anyio

_CUT: Final = "\n  ..."
"""How a stack ends that is deeper than the interpreter dumps."""
SIGNAL: Final = signal.SIGUSR2
WITHIN: Final = 0.3
_STEP: Final = 0.01
_MOST: Final = 64 * 1024
_LINE: Final = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)')
_OUTERMOST: Final = (" in <module>", " in _run_module_as_main")
"""How the stack of a main thread begins, the one that runs the loop; every other one begins in ``_bootstrap``."""


def allow_dump(path: Path) -> IO[bytes]:
    """Let this process be asked for its stack, to be written to `path`; keep what is returned for life."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600), "wb", 0)
    faulthandler.register(SIGNAL, file=file, all_threads=True, chain=False)
    return file


async def dump_of(pidfd: int, path: Path) -> list[str]:
    """Ask the process behind `pidfd` for its stack; return it, outermost frame first, or nothing within 0.3 s."""
    before = _size(path)
    try:
        signal.pidfd_send_signal(pidfd, SIGNAL)
    except OSError:
        return []
    with anyio.move_on_after(WITHIN):
        while not (stack := parse_dump(_read(path, before))):  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(_STEP)
        return stack
    return []


def parse_dump(text: str) -> list[str]:
    """Return ``file:line in function`` of the main thread, outermost first; empty while it is not whole."""
    for thread in text.split("\n\n"):
        frames = [f"{m['file']}:{m['line']} in {m['name']}" for m in map(_LINE.match, thread.splitlines()) if m]
        cut = thread.startswith("Current") and thread.rstrip().endswith(_CUT)
        if frames and (cut or frames[-1].endswith(_OUTERMOST)):
            return frames[::-1]
    return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, begin: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return file.read(_MOST).decode(errors="replace")
    except OSError:
        return ""
