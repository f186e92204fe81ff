"""A worker process: reads one job, does it, writes what came of it, ends.

It runs by path as ``python -I worker.py``, so that neither its working directory nor any environment variable
says where modules come from. What a file can do to an analyser (a segmentation fault, all memory, a minute of
parsing) it does to this process alone. When its owner is killed, the system kills it too.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

PROCESSOR_SECONDS: Final = 60
MEMORY_BYTES: Final = 2 * 1024**3
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Be the worker process."""
    _end_with_owner()
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import msgspec

    from examples.review.job import EXIT_EXHAUSTED, Job

    try:
        job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
        done = _trade(job.trade)(job.files)
        sys.stdout.buffer.write(msgspec.msgpack.encode(done))
        sys.stdout.buffer.flush()
    except (MemoryError, RecursionError):
        os._exit(EXIT_EXHAUSTED)


def _end_with_owner() -> None:
    """Have the system kill this process when the thread that started it is gone, however it went."""
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("the worker cannot be tied to its owner")


def _trade(name: str) -> "Callable[..., object]":
    from examples.review import gaps, metrics
    from examples.review.job import EXIT_MISSING

    if name == "metrics":
        return metrics.measure
    if name == "syntax":
        return metrics.check_syntax
    if name == "gaps":
        return gaps.find_gaps
    try:
        from examples.review import run_bandit
    except ImportError:
        sys.exit(EXIT_MISSING)
    return run_bandit.scan


if __name__ == "__main__":
    main()
