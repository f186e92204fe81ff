"""Looking at one cell's process from outside: its beat, its state, its memory."""

import os
from pathlib import Path
from typing import Final

import msgspec

from callboard.actors import FlightReader
from callboard.clock import Clock

from .verdict import Signs

_CLOSER: Final = 0.6
"""Seconds without a beat after which the process itself is looked at: five beats are missing."""
_LATE: Final = 0.1
"""Seconds by which the watcher may be late without noting it."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Times(msgspec.Struct, frozen=True):
    """Seconds that a process's main thread has run, and has waited for a processor, since it began."""

    burned: float = 0.0
    starved: float = 0.0


class Watch:
    """Looks at process `pid`, whose flight record is read by `reader`. One for each incarnation."""

    def __init__(self, reader: FlightReader, *, pid: int, epoch: int, clock: Clock) -> None:
        self._reader, self._pid, self._epoch, self._clock = reader, pid, epoch, clock
        self._beats = -1
        self._at_beat: Times | None = None
        self._late = 0.0

    def look(self, *, planned: float) -> Signs | None:
        """Return what is seen now; None before its loop has beaten once. `planned` is when this look was due."""
        now = self._clock.monotonic()
        head = self._reader.head()
        if head is None or head.epoch != self._epoch:
            return None
        if head.beats != self._beats:
            self._beats, self._at_beat, self._late = head.beats, None, 0.0
        self._late += late if (late := now - planned) > _LATE else 0.0
        age = now - head.beaten
        memory = memory_of(self._pid)
        if age < _CLOSER:
            return Signs(beat_age=age, late=self._late, memory=memory)
        times = times_of(self._pid)
        since = self._at_beat = self._at_beat or times
        return Signs(
            beat_age=age, late=self._late, state=state_of(self._pid), memory=memory,
            starved=times.starved - since.starved, burned=times.burned - since.burned,
        )  # fmt: skip


def state_of(pid: int) -> str:
    """Return the state letter of a process, ``Z`` if there is none any more."""
    text = _proc(pid, "stat").rpartition(")")[2].split()
    return text[0] if text else "Z"


def times_of(pid: int) -> Times:
    """Return the processor times of a process's main thread; zeros where the kernel does not keep them."""
    found = _proc(pid, "schedstat").split()
    return Times(int(found[0]) / 1e9, int(found[1]) / 1e9) if len(found) >= 2 else Times()


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process, 0 if there is none any more."""
    found = _proc(pid, "statm").split()
    return int(found[1]) * _PAGE if len(found) >= 2 else 0


def _proc(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def pressure() -> str:
    """Return the machine's own word on how pressed it is, for the evidence; empty where it keeps none."""
    lines = []
    for what in ("cpu", "memory", "io"):
        try:
            first = Path(f"/proc/pressure/{what}").read_text(encoding="ascii").splitlines()[0]
        except (OSError, IndexError):
            continue
        lines.append(f"{what} {first.split()[1].partition('=')[2]}%")
    return ", ".join(lines)
