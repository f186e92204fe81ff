"""What daemon and guardian leave behind when they are killed together, and what the next daemon makes of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from callboard.guardian import CELLS, SERVERS, Guardian, Ward
from callboard.processes import began
from callboard.supervisor.messages import ListEvents
from callboard.supervisor.records import open_records
from callboard.supervisor.remains import end_remains, read_ledger, write_ledger
from callboard.testing import ManualClock

from .conftest import Daemon

HI = '{"type": "Question", "text": "hi"}'
ASKED = '{"type": "Question", "text": "asked"}'
NOTE = '{"type": "Note", "text": "x"}'


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def guardians(daemon: Daemon) -> list[int]:
    """Return the daemon's guardian: it is a child of it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == daemon.process.pid and b"guardian.py" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill_both(daemon: Daemon) -> None:
    [guardian] = guardians(daemon)
    os.kill(guardian, signal.SIGKILL)
    daemon.process.kill()
    daemon.process.wait()


def remains(daemon: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.json("events", "--kind", "remains-ended")
    return found


@pytest.mark.chaos
def test_a_stopped_cell_of_a_killed_daemon_is_ended_before_the_next_one_serves(daemon: Daemon) -> None:
    for _ in range(3):
        assert daemon.run("tell", "clerk", NOTE).returncode == 0
    noted = '{"type": "Question", "text": "notes"}'
    daemon.wait(lambda: json.loads(daemon.run("ask", "clerk", noted, "--json").stdout)["text"] == "3", "three notes")
    old = daemon.row("clerk")["pid"]
    os.kill(old, signal.SIGSTOP)
    kill_both(daemon)
    assert alive(old)
    daemon.start()
    assert not alive(old), "gone before the next daemon was ready"
    with suppress(ProcessLookupError):  # unless a zombie is left that nobody reaps
        os.kill(old, signal.SIGCONT)
    assert not alive(old)
    [event] = [event for event in remains(daemon) if event["detail"]["pid"] == old]
    assert "cell clerk (epoch 1)" in event["text"]
    assert "it was stopped, and is killed" in event["text"]
    kinds = [(each["seq"], each["kind"]) for each in daemon.json("events", "--limit", "1000")]
    second = [seq for seq, kind in kinds if kind == "cell-started"][2:]
    assert event["seq"] < min(second), "ended before a cell was started"
    assert len(daemon.running("callboard.supervisor.worker")) == 2
    answer = json.loads(daemon.run("ask", "clerk", noted, "--json").stdout)
    assert (answer["text"], answer["pid"]) == ("3", daemon.row("clerk")["pid"])


@pytest.mark.chaos
def test_a_server_that_nobody_was_left_to_end_is_ended_too(daemon: Daemon) -> None:
    [server] = daemon.running("nats-server")
    kill_both(daemon)
    daemon.wait(lambda: not daemon.running("callboard.supervisor.worker"), "the cells to end by themselves", within=5.0)
    assert alive(server)
    daemon.start()
    assert not alive(server)
    assert [event["subject"] for event in remains(daemon)] == ["nats-server"]
    assert daemon.run("ask", "desk", HI).returncode == 0


@pytest.mark.chaos
def test_everything_stopped_and_killed_at_once_is_no_hindrance(daemon: Daemon) -> None:
    old = [*daemon.running("nats-server"), *daemon.running("callboard.supervisor.worker")]
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    kill_both(daemon)
    began_again = time.monotonic()
    daemon.start()
    assert time.monotonic() - began_again < 5.0
    assert not any(map(alive, old))
    assert len(remains(daemon)) == 3


def test_the_ledger_names_each_process_that_runs_and_is_private(daemon: Daemon) -> None:
    file = daemon.folder / ".callboard" / "shop" / "processes.json"
    assert file.stat().st_mode & 0o077 == 0

    def named() -> dict[int, str]:
        return {each["pid"]: each["name"] for each in json.loads(file.read_text())["processes"]}

    running = {*daemon.running("nats-server"), *daemon.running("callboard.supervisor.worker")}
    daemon.wait(lambda: {*named()} == running, "all to be named")
    os.kill(daemon.row("desk")["pid"], signal.SIGKILL)
    daemon.wait(lambda: "cell desk (epoch 2)" in named().values(), "the new process to be named")
    assert len(named()) == 3
    assert daemon.stop() == 0
    assert named() == {}


# --- one process that must not be hit


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def ledger(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> Callable[..., Path]:
    def make(**changed: object) -> Path:
        file = tmp_path / "processes.json"
        write_ledger(file, {sleeper.pid: Ward(CELLS, "cell desk (epoch 7)")})
        found = json.loads(file.read_text())
        assert found["processes"][0]["began"] == began(sleeper.pid)
        boot = changed.pop("boot", found["boot"])
        found["processes"][0].update(changed)
        file.write_text(json.dumps({"boot": boot, "processes": found["processes"]}))
        return file

    return make


@pytest.mark.parametrize("changed", [{"began": 1}, {"boot": "another"}, {"pid": 2**22 + 5}, {"pid": -1}])
async def test_a_process_that_is_not_the_one_that_is_meant_is_left_alone(
    ledger: Callable[..., Path], sleeper: "subprocess.Popen[bytes]", tmp_path: Path, changed: dict[str, object]
) -> None:
    file = ledger(**changed)
    assert read_ledger(file) == []
    async with open_records(tmp_path / "daemon.db", clock=ManualClock()) as records:
        await end_remains(file, records)
    assert sleeper.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"boot": 1}', "\x00"])
async def test_a_damaged_ledger_is_said_and_keeps_nobody_from_starting(tmp_path: Path, text: str) -> None:
    (tmp_path / "processes.json").write_text(text)
    async with open_records(tmp_path / "daemon.db", clock=ManualClock()) as records:
        await end_remains(tmp_path / "processes.json", records)
        [event] = (await records.list(ListEvents())).events
    assert event.kind == "remains-unknown"


def test_a_ledger_that_cannot_be_written_keeps_nobody_from_starting(tmp_path: Path) -> None:
    write_ledger(tmp_path / "no" / "such" / "folder" / "processes.json", {os.getpid(): Ward(SERVERS, "x")})


def test_a_guardian_tells_of_each_change(sleeper: "subprocess.Popen[bytes]") -> None:
    told: list[dict[int, Ward]] = []
    with Guardian.start() as guardian:
        guardian.on_change = lambda known: told.append(dict(known))
        guardian.add(sleeper.pid, stage=CELLS, name="desk")
        guardian.remove(sleeper.pid)
        guardian.remove(sleeper.pid)
    assert told == [{sleeper.pid: Ward(CELLS, "desk")}, {}]
