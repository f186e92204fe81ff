"""What can be seen of a process from outside: its beat, its state, its processor time, and where it is blocked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callboard.actors import FlightReader, FlightRecorder, place_of
from callboard.clock import SystemClock
from callboard.supervisor.stack_dump import dump_of, parse_dump
from callboard.supervisor.watch import Watch, memory_of, pressure, state_of, times_of

from .waiting import wait_until

CHILD = """
import sys, time
from pathlib import Path
from callboard.supervisor.stack_dump import allow_dump

def sleeps():
    time.sleep(60)

def spins():
    while True:
        pass

def spins_in_c():
    sum(range(10 ** 12))

file = allow_dump(Path(sys.argv[1]))
print("ready", flush=True)
globals()[sys.argv[2]]()
"""


@contextmanager
def child(dump: Path, how: str) -> Generator[subprocess.Popen[str]]:
    """Run a process that does one thing forever."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(dump), how], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["sleeps", "spins", "spins_in_c"])
async def test_a_blocked_process_tells_where_it_stands(tmp_path: Path, how: str) -> None:
    with child(tmp_path / "dump", how) as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            await wait_until(lambda: state_of(process.pid) == ("S" if how == "sleeps" else "R"))
            stack = await dump_of(pidfd, tmp_path / "dump")
            again = await dump_of(pidfd, tmp_path / "dump")
        finally:
            os.close(pidfd)
    assert place_of(stack).endswith(f" in {how}")
    assert [line.rpartition(":")[0] for line in again] == [line.rpartition(":")[0] for line in stack]


async def test_a_stopped_process_says_nothing_and_is_seen_to_be_stopped(tmp_path: Path) -> None:
    with child(tmp_path / "dump", "spins") as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            os.kill(process.pid, signal.SIGSTOP)
            await wait_until(lambda: state_of(process.pid) == "T")
            assert await dump_of(pidfd, tmp_path / "dump") == []
        finally:
            os.close(pidfd)
    assert state_of(process.pid) == "Z"
    assert memory_of(process.pid) == 0


async def test_a_process_that_spins_is_seen_to_burn_processor_time(tmp_path: Path) -> None:
    with child(tmp_path / "dump", "spins") as process:
        begin = times_of(process.pid)
        await wait_until(lambda: times_of(process.pid).burned > begin.burned + 0.05)
        assert memory_of(process.pid) > 1 << 20


def test_half_a_dump_is_no_dump() -> None:
    text = (
        'Current thread 0x1 (most recent first):\n  File "a.py", line 3 in inner\n  File "a.py", line 9 in <module>\n'
    )
    other = 'Thread 0x2 (most recent call first):\n  File "b.py", line 1 in run\n  File "t.py", line 2 in _bootstrap\n'
    assert parse_dump(other + "\n" + text) == ["a.py:9 in <module>", "a.py:3 in inner"]
    assert parse_dump(other + "\n" + text.rpartition("\n  File")[0]) == []
    assert parse_dump("") == []


def test_a_watch_sees_the_beat_of_its_own_incarnation_alone(tmp_path: Path) -> None:
    clock = SystemClock()
    reader = FlightReader(tmp_path / "desk.flight")
    watch = Watch(reader, pid=os.getpid(), epoch=2, clock=clock)
    assert watch.look(planned=clock.monotonic()) is None
    FlightRecorder(tmp_path / "desk.flight", epoch=1)
    assert watch.look(planned=clock.monotonic()) is None
    recorder = FlightRecorder(tmp_path / "desk.flight", epoch=2)
    signs = watch.look(planned=clock.monotonic())
    assert signs is not None
    assert signs.beat_age < 1.0
    recorder.beat(time.monotonic() - 2.0)
    signs = watch.look(planned=clock.monotonic() - 1.5)
    assert signs is not None
    assert 2.0 <= signs.beat_age < 3.0
    assert 1.5 <= signs.late < 3.0
    assert signs.state in "RS"
    recorder.beat(time.monotonic() - 2.0)
    again = watch.look(planned=clock.monotonic())
    assert again is not None
    assert again.late == 0.0  # what was granted to the beat before is not granted to this one


def test_the_machines_pressure_is_said_in_words_where_it_is_known() -> None:
    assert ("cpu " in pressure()) == Path("/proc/pressure/cpu").exists()
