"""What the daemon says to systemd, on a real datagram socket; and the unit under which it runs."""

import configparser
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from callboard.clock import SystemClock
from callboard.supervisor.config import load_fleet
from callboard.supervisor.systemd import ServiceManager
from callboard.supervisor.unit import Setting, quoted, stop_within, unit
from callboard.testing import ManualClock

from .conftest import AGENTS, FLEET, Daemon
from .waiting import wait_until


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)

    def hear(self) -> list[str]:
        """Return all that was said so far, word by word."""
        while True:
            try:
                self.heard += self._socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    name = f"@callboard-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    listening = Systemd(name)
    yield listening
    listening.close()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)


def test_it_says_ready_and_stopping_with_a_status_of_one_line(systemd: Systemd) -> None:
    manager = ServiceManager(systemd.address)
    manager.ready("fleet shop\nREADY=0")
    manager.stopping("told to")
    assert systemd.hear() == ["READY=1", "STATUS=fleet shop READY=0", "STOPPING=1", "STATUS=told to"]


async def test_it_feeds_the_watchdog_twice_as_often_as_asked_for(systemd: Systemd, clock: ManualClock) -> None:
    manager = ServiceManager(systemd.address, watchdog=10.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(manager.feed, clock)
        for times in range(1, 4):
            await wait_until(lambda: systemd.hear() == ["WATCHDOG=1"] * times)  # noqa: B023
            await clock.advance(5.0)
        tasks.cancel_scope.cancel()


def test_what_systemd_set_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch, systemd: Systemd) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    manager = ServiceManager.from_environment()
    assert manager.watchdog == 3.0
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & {*os.environ}
    manager.ready("x")
    assert "READY=1" in systemd.hear()


@pytest.mark.parametrize(("micros", "pid"), [("3000000", "1"), ("", ""), ("soon", ""), ("-5", "")])
def test_a_watchdog_that_is_not_ours_or_makes_no_sense_is_not_fed(
    monkeypatch: pytest.MonkeyPatch, micros: str, pid: str
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", micros)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert ServiceManager.from_environment().watchdog == 0.0


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens", "/" + "x" * 300, "\0", "a\0b"])
async def test_nothing_it_cannot_say_fails_or_holds_up_the_daemon(address: str) -> None:
    manager = ServiceManager(address, watchdog=0.01)
    manager.ready("x")
    with anyio.move_on_after(0.05):
        await manager.feed(SystemClock())
    manager.stopping("x")


def test_a_systemd_that_does_not_read_holds_nobody_up(systemd: Systemd) -> None:
    manager, began = ServiceManager(systemd.address), time.monotonic()
    for _ in range(2000):
        manager.ready("x" * 400)
    assert time.monotonic() - began < 5.0


@pytest.fixture
def notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Daemon, Systemd]]:
    """A daemon started as by systemd, with a watchdog of one second."""
    systemd = Systemd(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    daemon = Daemon(tmp_path, FLEET).start()
    yield daemon, systemd
    daemon.end()
    systemd.close()


def test_a_daemon_tells_systemd_its_whole_life(notified: tuple[Daemon, Systemd]) -> None:
    daemon, systemd = notified
    daemon.wait(lambda: systemd.hear().count("WATCHDOG=1") >= 3, "the watchdog to be fed")
    assert systemd.heard.count("READY=1") == 1
    assert f"STATUS=fleet shop, 2 actors in 2 cells, pid {daemon.process.pid}" in systemd.heard
    for worker in daemon.running("callboard.supervisor.worker"):
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
    assert daemon.stop() == 0
    assert "STOPPING=1" in systemd.hear()
    assert "STATUS=told to by SIGTERM" in systemd.heard


@pytest.mark.chaos
def test_a_stopped_daemon_stops_feeding_the_watchdog(notified: tuple[Daemon, Systemd]) -> None:
    daemon, systemd = notified
    daemon.wait(lambda: "WATCHDOG=1" in systemd.hear(), "the watchdog to be fed")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    fed, end = len(systemd.hear()), time.monotonic() + 2.0
    daemon.wait(lambda: time.monotonic() > end, "two watchdog periods to pass")
    assert len(systemd.hear()) == fed
    os.kill(daemon.process.pid, signal.SIGCONT)
    daemon.wait(lambda: len(systemd.hear()) > fed, "the watchdog to be fed again")


# --- the unit


def made(tmp_path: Path, fleet: str = FLEET) -> Path:
    (tmp_path / "shop_agents.py").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "fleet.toml").write_text(fleet, encoding="utf-8")
    return tmp_path / "fleet.toml"


def printed(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "callboard.supervisor.cli", "doctor", "--unit", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, check=False)


def read(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd knows upper from lower case
    parser.read_string(text)
    return parser


def test_the_unit_says_how_the_daemon_is_watched_and_ended(tmp_path: Path) -> None:
    file = made(tmp_path)
    done = printed(tmp_path, "fleet.toml")
    assert done.returncode == 0, done.stderr
    found = read(done.stdout)
    service = dict(found["Service"])
    assert found.sections() == ["Unit", "Service", "Install"]
    assert {name: service[name] for name in ("Type", "NotifyAccess", "WatchdogSec", "Restart", "KillMode")} == {
        "Type": "notify", "NotifyAccess": "main", "WatchdogSec": "10", "Restart": "always", "KillMode": "mixed",
    }  # fmt: skip
    assert service["TimeoutStopSec"] == f"{(3 + 1) + (10 + 1) + 15}"
    assert shlex.split(service["ExecStart"])[:5] == [sys.executable, "-m", "callboard.supervisor.cli", "up", str(file)]
    assert service["WorkingDirectory"] == str(tmp_path)


def test_fleet_toml_is_what_is_meant_when_no_file_is_named(tmp_path: Path) -> None:
    made(tmp_path)
    assert "Description=Callboard fleet shop\n" in printed(tmp_path).stdout
    (tmp_path / "fleet.toml").unlink()
    assert printed(tmp_path).returncode == 2


def test_the_unit_takes_along_where_state_and_modules_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    monkeypatch.setenv("CALLBOARD_STATE", "kept")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), "more"])))
    service = read(printed(tmp_path).stdout)["Service"]
    assert shlex.split(service["ExecStart"])[5:] == ["--state", str(tmp_path / "kept")]
    assert service["Environment"].startswith("PYTHONPATH=/")
    assert service["Environment"].endswith(str(tmp_path / "more"))


def test_a_fleet_on_an_outside_server_waits_for_the_network(tmp_path: Path) -> None:
    file = made(tmp_path, f'[bus]\nurl = "nats://127.0.0.1:4222"\n{FLEET}')
    text = unit(load_fleet(file), Setting(fleet_file=str(file), python="/usr/bin/python3", user="shop"))
    assert read(text)["Unit"]["After"] == "network-online.target"
    assert read(text)["Service"]["User"] == "shop"


def test_the_time_to_stop_is_the_sum_of_what_each_cell_may_drain(tmp_path: Path) -> None:
    third = '\n[[actor]]\nuse = "shop_agents:Clerk"\nname = "other"\ncell = "desk"\n[actor.health]\ndrain_for = 60.0\n'
    assert stop_within(load_fleet(made(tmp_path, FLEET + third))) == (60 + 1) + (10 + 1) + 15


@pytest.mark.parametrize(
    ("word", "text"),
    [("/a/b", "/a/b"), ("/a b", '"/a b"'), ("50%", "50%%"), ("$HOME", "$$HOME"), ('a"b\\', '"a\\"b\\\\"'), ("", '""')],
)
def test_no_path_means_anything_else_to_systemd(word: str, text: str) -> None:
    assert quoted(word, command=True) == text


def test_systemd_itself_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine to verify the unit with")
    folder = tmp_path / "a folder, 50% $HOME"
    folder.mkdir()
    made(folder)
    file = tmp_path / "callboard-shop.service"
    file.write_text(printed(folder).stdout, encoding="utf-8")
    done = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True, timeout=60, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "callboard-shop" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
