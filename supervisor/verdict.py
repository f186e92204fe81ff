"""Whether a cell's process is well, judged from outside. Pure: what was seen in, a verdict out.

The loop of a cell stores a beat ten times a second. A beat that is too old means that the loop does not turn; it does
not yet mean that the cell is to blame. Time in which the daemon itself was late, and time in which the process was
ready to run but was not given a processor, is granted on top: a machine at its limit must not kill what lives on it.
A stopped process is granted nothing. The grant is bounded, so that a loop that spins on a full machine is found too.
"""

from typing import Final, Literal

import msgspec

Kind = Literal["well", "silent", "bloated"]

GRANT_MOST: Final = 2.0
"""Times ``silent_after`` that a busy machine may grant on top."""
STOPPED: Final = frozenset("Tt")
ON_DISK: Final = "D"

_STATES: Final = {
    "R": "running or ready to run", "S": "asleep", "D": "waiting for the disk", "T": "stopped by a signal",
    "t": "stopped by a debugger", "Z": "ended",
}  # fmt: skip


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a process at one moment. Times in seconds, memory in bytes."""

    beat_age: float
    """Since the last beat of its loop."""
    late: float = 0.0
    """How late the daemon itself was since then."""
    starved: float = 0.0
    """How long its main thread was ready to run since then, and was not given a processor."""
    state: str = "S"
    """As in /proc: R, S, D, T, t, Z."""
    burned: float = 0.0
    """Processor seconds its main thread has used since then."""
    memory: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What it is, and why, in words."""

    kind: Kind
    why: str = ""


WELL: Final = Verdict("well")


def judge_cell(signs: Signs, *, silent_after: float, memory_most: int) -> Verdict:
    """Judge a process by its signs; `memory_most` is its limit in bytes, 0 for none."""
    quiet = signs.beat_age - signs.late - _granted(signs, silent_after)
    if quiet > silent_after:
        return Verdict("silent", f"its loop has not turned for {signs.beat_age:.1f} s: {_doing(signs)}")
    if memory_most and signs.memory > memory_most:
        megabytes, most = signs.memory >> 20, memory_most >> 20
        return Verdict("bloated", f"it uses {megabytes} MiB of memory, and may use {most}")
    return WELL


def _granted(signs: Signs, silent_after: float) -> float:
    if signs.state in STOPPED:
        return 0.0
    if signs.state == ON_DISK:
        return GRANT_MOST * silent_after
    return min(signs.starved, GRANT_MOST * silent_after)


def _doing(signs: Signs) -> str:
    state = _STATES.get(signs.state, f"in state {signs.state}")
    used = f", {signs.burned:.1f} s of processor used meanwhile" if signs.burned >= 0.1 else ""
    waited = f", {signs.starved:.1f} s waiting for a processor" if signs.starved >= 0.1 else ""
    return f"{state}{used}{waited}"
