"""How much of the machine went to programs that are no part of the run.

A sender, a server and a receiver keep two cores busy: another busy program costs the figures up to a half. So what the
others took is measured, from ``/proc``, and said.
"""

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER, _NICE, _SYSTEM, _STEAL = 0, 1, 2, 7


class _Spent(NamedTuple):
    """Seconds since the machine, or the run, began."""

    clock: float
    all: float
    own: float


class Watch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._begin = _spent()

    def others(self) -> float:
        """Return how many cores other programs kept busy since the beginning, on average."""
        begin, now = self._begin, _spent()
        return max(0.0, (now.all - begin.all - (now.own - begin.own)) / (now.clock - begin.clock))


def _spent() -> _Spent:
    return _Spent(time.monotonic(), _all() / _TICKS, sum(map(_ticks, _family(os.getpid()))) / _TICKS)


def _all() -> int:
    """Return what all programs and the host's other guests used; interrupts are left out: here they serve us."""
    first = (_PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    return sum(int(first[field]) for field in (_USER, _NICE, _SYSTEM, _STEAL))


def _family(pid: int) -> list[int]:
    """Return `pid` and all that descend from it."""
    family = [pid]
    for task in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue  # that thread has just ended
        for child in children:
            family += _family(int(child))
    return family


def _ticks(pid: int) -> int:
    try:
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0  # it has just ended
    return int(fields[11]) + int(fields[12])
