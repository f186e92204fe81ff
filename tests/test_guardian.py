"""A guardian ends what a killed owner leaves behind, in order and in time, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import callboard.guardian
from callboard.errors import CallerError
from callboard.guardian import CELLS, SERVERS, Guardian

_ALL_GONE_WITHIN = 4.0

# An owner as the daemon is one: it starts its children, tells its guardian of them, and is then killed.
_OWNER = """
import os, subprocess, sys
from callboard.guardian import Guardian

guardian = Guardian.start()
kept_open = []
pids = []
for argument in sys.argv[1:]:
    stage, script = argument.split(":", 1)
    child = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)
    kept_open.append(child)
    guardian.add(child.pid, stage=int(stage))
    pids.append(child.pid)
print(guardian.pid, *pids, flush=True)
sys.stdin.read()
"""


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _gone(pid: int) -> bool:
    """Whether a process has ended; whether somebody has reaped it by now is not the guardian's affair."""
    try:
        return _state(pid) in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _wait_until(done: Callable[[], bool], within: float) -> float:
    """Return how many seconds it took; fail after `within`."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < within, f"not within {within} s"
        time.sleep(0.005)
    return time.monotonic() - began


class _Family:
    """An owner process with its guardian and its children."""

    def __init__(self, *children: str) -> None:
        self.owner = subprocess.Popen(
            [sys.executable, "-c", _OWNER, *children],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.owner.stdout is not None
        self.guardian, *self.children = (int(pid) for pid in self.owner.stdout.readline().split())
        self._pidfds = [os.pidfd_open(pid) for pid in (self.guardian, *self.children)]

    def kill_owner(self) -> None:
        self.owner.kill()
        self.owner.wait()

    def all_gone(self) -> bool:
        return all(_gone(pid) for pid in (self.guardian, *self.children))

    def end(self) -> None:
        self.kill_owner()
        for pidfd in self._pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        for stream in (self.owner.stdin, self.owner.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def family() -> Iterator[Callable[..., _Family]]:
    families: list[_Family] = []

    def start(*children: str) -> _Family:
        families.append(_Family(*children))
        return families[-1]

    yield start
    for one in families:
        one.end()


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian.start() as started:
        yield started


@pytest.fixture
def sleeper() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    sleepers: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        sleepers.append(subprocess.Popen(["sleep", "60"], start_new_session=True))
        return sleepers[-1]

    yield start
    for one in sleepers:
        one.kill()
        one.wait()


def test_both_stages_and_the_guardian_are_gone_in_time_when_the_owner_is_killed(
    family: Callable[..., _Family],
) -> None:
    one = family(f"{CELLS}:exec sleep 60", f"{CELLS}:exec sleep 60", f"{SERVERS}:exec sleep 60")
    assert not any(_gone(pid) for pid in (one.guardian, *one.children))
    one.kill_owner()
    _wait_until(one.all_gone, _ALL_GONE_WITHIN)


def test_stopped_and_stubborn_children_are_killed_in_time(family: Callable[..., _Family]) -> None:
    stubborn = "trap '' TERM; while :; do sleep 1; done"
    one = family(f"{CELLS}:exec sleep 60", f"{SERVERS}:{stubborn}", f"{SERVERS}:exec sleep 60")
    os.kill(one.children[0], signal.SIGSTOP)
    os.kill(one.children[2], signal.SIGSTOP)
    _wait_until(lambda: _state(one.children[0]) == _state(one.children[2]) == "T", 5.0)
    one.kill_owner()
    _wait_until(one.all_gone, _ALL_GONE_WITHIN)


def test_a_cell_that_ends_by_itself_is_left_in_peace_and_the_server_outlives_it(
    family: Callable[..., _Family], tmp_path: Path
) -> None:
    story = tmp_path / "story"
    # The cell sees the end of its standard input, as cells do, and still has something to finish.
    cell = f"read line; sleep 0.4; echo cell >> {story}"
    server = f"trap 'echo server >> {story}; exit' TERM; while :; do sleep 0.01; done"
    one = family(f"{CELLS}:{cell}", f"{SERVERS}:{server}")
    one.kill_owner()
    took = _wait_until(one.all_gone, _ALL_GONE_WITHIN)
    assert story.read_text().split() == ["cell", "server"]
    assert took < 1.5, "the guardian waits for the cell, not for the whole grace"


def test_signals_of_a_terminal_do_not_end_the_guardian(family: Callable[..., _Family]) -> None:
    one = family(f"{CELLS}:exec sleep 60")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(one.guardian, number)
    assert os.getsid(one.guardian) == one.guardian
    one.kill_owner()
    _wait_until(one.all_gone, _ALL_GONE_WITHIN)


def test_a_removed_process_lives_on_and_a_known_one_ends_with_the_guardian(
    guardian: Guardian, sleeper: Callable[[], subprocess.Popen[bytes]]
) -> None:
    removed, known = sleeper(), sleeper()
    guardian.add(removed.pid, stage=SERVERS)
    guardian.add(known.pid, stage=SERVERS)
    guardian.remove(removed.pid)
    guardian.close()
    assert _gone(known.pid)
    assert not _gone(removed.pid)


def test_an_orderly_close_is_quick_and_leaves_no_guardian(guardian: Guardian) -> None:
    pid = guardian.pid
    _wait_until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() != b"", 5.0)
    began = time.monotonic()
    guardian.close()
    assert time.monotonic() - began < 1.0
    assert not Path(f"/proc/{pid}").exists(), "it is reaped"
    assert not guardian.alive


def test_it_runs_alone_and_no_garbage_ends_it(sleeper: Callable[[], subprocess.Popen[bytes]]) -> None:
    known = sleeper()
    garbage = (
        b"expect",
        b"expect x 1",
        b"expect 0 1",
        b"expect 999999999 5",
        b"expect 1",
        b"expect -1 -1",
        b"expect 0 1",
        f"expect {os.getpid()} -1".encode(),
        b"",
        b"nonsense",
        b"\xff\xfe\x00",
        b"add",
        b"add 0",
        b"add 0 one",
        b"add 7 1",
        b"add 0 0",
        b"add 0 1",
        b"add 1 -1",
        b"add 0 999999999999999999999999",
        b"remove 999999",
        b"remove",
        b"add 0 " + b"9" * 200_000,
    )
    alone = subprocess.Popen(
        [sys.executable, "-I", "-S", callboard.guardian.__file__],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, complaints = alone.communicate(b"\n".join((*garbage, f"add {SERVERS} {known.pid}".encode(), b"")), 10.0)
    assert (alone.returncode, complaints) == (0, b"")
    assert _gone(known.pid), "what came after the garbage was heard"


def test_a_killed_guardian_is_replaced_and_told_what_is_known(
    guardian: Guardian, sleeper: Callable[[], subprocess.Popen[bytes]]
) -> None:
    before, after = sleeper(), sleeper()
    guardian.add(before.pid, stage=SERVERS)
    first = guardian.pid
    os.kill(first, signal.SIGKILL)
    _wait_until(lambda: not guardian.alive, 5.0)
    guardian.add(after.pid, stage=SERVERS)
    assert guardian.alive
    assert guardian.pid != first
    guardian.close()
    assert _gone(before.pid)
    assert _gone(after.pid)


def test_ensure_replaces_a_killed_guardian_and_only_a_killed_one(guardian: Guardian) -> None:
    first = guardian.pid
    guardian.ensure()
    assert guardian.pid == first
    os.kill(first, signal.SIGKILL)
    _wait_until(lambda: not guardian.alive, 5.0)
    guardian.ensure()
    assert guardian.alive
    assert guardian.pid != first


def test_a_stopped_guardian_never_blocks_its_owner_and_is_replaced(
    guardian: Guardian, sleeper: Callable[[], subprocess.Popen[bytes]]
) -> None:
    known = sleeper()
    first = guardian.pid
    os.kill(first, signal.SIGSTOP)
    _wait_until(lambda: _state(first) == "T", 5.0)
    for _ in range(20_000):  # more lines than a pipe holds
        guardian.add(known.pid, stage=SERVERS)
    assert guardian.pid != first
    assert not _gone(known.pid), "the stopped one was killed before it could take this for the owner's end"
    guardian.close()
    assert _gone(known.pid)


def test_a_closed_guardian_takes_nobody_and_says_so(guardian: Guardian) -> None:
    guardian.close()
    guardian.close()
    guardian.remove(os.getpid())
    with pytest.raises(CallerError, match="closed"):
        guardian.add(os.getpid(), stage=CELLS)


def test_the_guardian_holds_no_file_of_its_owner(tmp_path: Path) -> None:
    with (tmp_path / "leak").open("w") as leak:
        os.set_inheritable(leak.fileno(), True)
        with Guardian.start() as one:
            files = Path(f"/proc/{one.pid}/fd")
            _wait_until(lambda: sorted(file.name for file in files.iterdir()) == ["0", "1", "2"], 5.0)
            held = [str((files / name).readlink()) for name in ("0", "1", "2")]
    assert held[0].startswith("pipe:")
    assert held[1:] == [os.devnull, os.devnull]


# --- an owner that is stopped

_PULSE = """
import subprocess, sys, time
from callboard.guardian import Guardian

guardian = Guardian.start()
child = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, start_new_session=True)
guardian.add(child.pid, stage=0)
guardian.expect(0.5)
print(guardian.pid, child.pid, flush=True)
for line in sys.stdin:
    guardian.expect(float(line))
    print(flush=True)
"""


class _Pulse(_Family):
    """An owner whose guardian expects to hear from it again within half a second, or what it is told."""

    def __init__(self) -> None:
        self.owner = subprocess.Popen(
            [sys.executable, "-c", _PULSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.owner.stdout is not None
        self.guardian, *self.children = (int(pid) for pid in self.owner.stdout.readline().split())
        self._pidfds = []

    def says(self, seconds: float) -> None:
        assert self.owner.stdin is not None
        assert self.owner.stdout is not None
        self.owner.stdin.write(f"{seconds}\n")
        self.owner.stdin.flush()
        self.owner.stdout.readline()


@pytest.fixture
def pulse() -> Iterator[_Pulse]:
    made = _Pulse()
    yield made
    for pid in (made.guardian, made.owner.pid, *made.children):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    made.owner.communicate()


def test_a_stopped_owner_that_was_expected_is_ended_with_all_it_has(pulse: _Pulse) -> None:
    pulse.says(0.5)
    os.kill(pulse.owner.pid, signal.SIGSTOP)
    _wait_until(lambda: _gone(pulse.owner.pid), 2.0)
    _wait_until(pulse.all_gone, _ALL_GONE_WITHIN)
    assert pulse.owner.wait() == -signal.SIGKILL


def test_an_owner_that_speaks_in_time_or_took_it_back_lives(pulse: _Pulse) -> None:
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        pulse.says(0.5)
    pulse.says(0)
    began = time.monotonic()
    _wait_until(lambda: time.monotonic() > began + 1.0, 2.0)
    assert pulse.owner.poll() is None
    assert not _gone(pulse.children[0])


def test_a_guardian_that_was_stopped_too_lets_the_owner_speak_first(pulse: _Pulse) -> None:
    for pid in (pulse.owner.pid, pulse.guardian):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    _wait_until(lambda: time.monotonic() > began + 2.0, 3.0)
    os.kill(pulse.guardian, signal.SIGCONT)
    os.kill(pulse.owner.pid, signal.SIGCONT)
    pulse.says(0)
    began = time.monotonic()
    _wait_until(lambda: time.monotonic() > began + 1.5, 3.0)
    assert pulse.owner.poll() is None


def test_a_replaced_guardian_expects_the_same(pulse: _Pulse) -> None:
    pulse.says(5)
    os.kill(pulse.guardian, signal.SIGKILL)
    _wait_until(lambda: _gone(pulse.guardian), 2.0)
    pulse.says(0.5)
    os.kill(pulse.owner.pid, signal.SIGSTOP)
    _wait_until(lambda: _gone(pulse.owner.pid), 2.0)
    _wait_until(lambda: _gone(pulse.children[0]), _ALL_GONE_WITHIN)
