"""Jobs done in worker processes, and the question of whose fault it was when one does not end well.

A worker that dies of its own (a segmentation fault, no memory, no time) has met a file it cannot take: the
batch is done again one file at a time, and the file that fails alone is reported as unchecked. A worker that
was killed from outside has met nothing: that is an error, and the same batch may be tried again.
"""

import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from .errors import SaidTooMuch, TookTooLong, ToolFailed, ToolMissing
from .finding import clean
from .job import EXIT_EXHAUSTED, EXIT_MISSING, Content, Done, Job, Trade, joined
from .limits import MIB
from .process import Finished, run

SECONDS: Final = 60.0
SECONDS_ALONE: Final = 20.0
_MOST: Final = 64 * MIB
_WORKER: Final = str(Path(__file__).with_name("worker.py"))

FROM_OUTSIDE: Final = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE)
"""Exit codes that no source file can bring about by itself."""

ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "XDG_CACHE_HOME": "/dev/null",  # bandit's plugin loader would write a cache file
    "XDG_CONFIG_HOME": "/dev/null",
    "PYTHONDONTWRITEBYTECODE": "1",
    "RAYON_NUM_THREADS": "1",
}
"""All of the environment an analyser gets."""


async def work(trade: Trade, files: tuple[Content, ...]) -> Done:
    """Return what the analyser `trade` says of `files`.

    Raises:
        ToolFailed: the worker was killed from outside, or is itself at fault.
        ToolMissing: the analyser is not installed.

    """
    if not files:
        return Done()
    done = await _attempt(trade, files, seconds=SECONDS)
    if done is not None:
        return done
    if len(files) == 1:
        return Done(unchecked=(files[0].path,))
    alone = [await _attempt(trade, (file,), seconds=SECONDS_ALONE) for file in files]
    return joined([part or Done(unchecked=(file.path,)) for part, file in zip(alone, files, strict=True)])


async def _attempt(trade: Trade, files: tuple[Content, ...], *, seconds: float) -> Done | None:
    """Return what came of one process, or None where the files are to blame that nothing did."""
    try:
        finished = await run(
            [sys.executable, "-I", "-B", _WORKER],
            environment=ENVIRONMENT,
            cwd="/",
            stdin=msgspec.msgpack.encode(Job(trade, files)),
            seconds=seconds,
            most=_MOST,
        )
    except (TookTooLong, SaidTooMuch):
        return None
    if finished.code == 0:
        return msgspec.msgpack.decode(finished.stdout, type=Done)
    _raise_unless_file(trade, finished)
    return None


def _raise_unless_file(trade: Trade, finished: Finished) -> None:
    """Raise if no file of the batch is to blame for how the worker ended."""
    if finished.code == EXIT_MISSING:
        raise ToolMissing(f"{trade} is not installed: pip install 'callboard[review]'", tool=trade)
    if finished.code in FROM_OUTSIDE or not (finished.code < 0 or finished.code == EXIT_EXHAUSTED):
        last = finished.stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["it did not say why"]
        text = f"the {trade} worker ended with {finished.code}: {clean(last[0])}"
        raise ToolFailed(text, tool=trade, code=finished.code)
