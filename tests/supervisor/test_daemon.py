"""The daemon with real processes, killed with real signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from callboard.supervisor.access import Access
from callboard.supervisor.cli.exits import Exit
from callboard.supervisor.process import BUS_LOST, CellOrder

from .conftest import FLEET, Daemon

HI = '{"type": "Question", "text": "hi"}'


def ask(
    daemon: Daemon, text: str = "hi", *, actor: str = "desk", wait: float = 0.0
) -> "subprocess.CompletedProcess[str]":
    """Ask through the command line."""
    return daemon.run("ask", actor, json.dumps({"type": "Question", "text": text, "wait": wait}), "--json")


def test_a_fleet_answers_and_stops_with_exit_code_0(daemon: Daemon) -> None:
    assert json.loads(ask(daemon).stdout)["text"] == "HI"
    assert [row["state"] for row in daemon.json("ps")] == ["running", "running"]
    assert daemon.run("down").returncode == 0
    assert daemon.process.wait(timeout=10) == 0
    assert not daemon.processes()


def test_a_killed_cell_is_started_again_and_its_memory_is_still_there(daemon: Daemon) -> None:
    first = json.loads(ask(daemon).stdout)["pid"]
    os.kill(first, signal.SIGKILL)
    second = json.loads(ask(daemon).stdout)["pid"]
    assert second != first
    story = ["cell-exited", "cell-started", "cell-recovered"]
    daemon.wait(lambda: daemon.kinds("desk")[-3:] == story, "the death, the start and the first message served")
    assert daemon.row("desk")["restarts"] == 1


def test_who_waits_for_a_killed_actor_hears_at_once_that_it_died(daemon: Daemon) -> None:
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(ask(daemon, wait=60.0)))
    thread.start()
    daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
    killed = time.monotonic()
    os.kill(daemon.row("desk")["pid"], signal.SIGKILL)
    thread.join(timeout=20)
    assert time.monotonic() - killed < 5
    assert done[0].returncode == 6
    assert "actor-died" in done[0].stderr
    assert "SIGKILL" in done[0].stderr


def test_questions_asked_while_an_actor_is_down_are_kept_for_its_next_life(daemon: Daemon) -> None:
    os.kill(daemon.row("desk")["pid"], signal.SIGKILL)
    threads_done: list[int] = []
    threads = [threading.Thread(target=lambda: threads_done.append(ask(daemon).returncode)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert threads_done == [0, 0, 0, 0]


@pytest.mark.chaos
def test_a_killed_daemon_leaves_no_process_behind_within_five_seconds(daemon: Daemon) -> None:
    assert len(daemon.processes()) >= 4, "daemon, two cells, nats-server"
    daemon.process.kill()
    daemon.process.wait()
    daemon.wait(lambda: not daemon.processes(), "all processes to be gone", within=5.0)


@pytest.mark.chaos
def test_a_daemon_starts_cleanly_over_what_a_killed_one_left_and_keeps_its_port(daemon: Daemon) -> None:
    before = daemon.where()
    daemon.process.kill()
    daemon.process.wait()
    daemon.start()
    after = daemon.where()
    assert after["url"] == before["url"]
    assert after["pid"] != before["pid"]
    assert ask(daemon).returncode == 0


def test_a_second_daemon_for_the_same_fleet_is_refused_and_names_the_first(daemon: Daemon) -> None:
    second = daemon.run("up", str(daemon.file))
    assert second.returncode == 2
    assert f"pid {daemon.process.pid}" in second.stderr
    assert ask(daemon).returncode == 0


def test_sigterm_lets_what_is_in_hand_finish(daemon: Daemon) -> None:
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(ask(daemon, wait=1.5)))
    thread.start()
    daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
    assert daemon.stop() == 0
    thread.join(timeout=20)
    assert done[0].returncode == 0, done[0].stderr
    assert json.loads(done[0].stdout)["text"] == "HI"


def test_an_actor_that_cannot_start_is_held_and_the_others_run_on(make_daemon: Callable[..., Daemon]) -> None:
    broken = '\n[[actor]]\nuse = "shop_agents:Broken"\n[actor.intensity]\nmost = 2\nwithin = 30.0\n'
    daemon = make_daemon(FLEET + broken).start()
    daemon.wait(lambda: daemon.row("broken")["state"] == "held", "the broken actor to be held")
    refused = daemon.run("ask", "broken", '{"type": "Note", "text": "x"}')
    assert refused.returncode == 4
    assert "held" in refused.stderr
    assert ask(daemon).returncode == 0
    assert daemon.kinds("broken").count("actor-crashed") == 3
    assert daemon.run("revive", "broken").returncode == 0
    daemon.wait(lambda: daemon.kinds("broken").count("actor-held") == 2, "the revived actor to be held again")


def test_an_actor_that_starts_again_and_again_can_be_held_by_hand(make_daemon: Callable[..., Daemon]) -> None:
    blocked = '\n[[actor]]\nuse = "shop_agents:Blocked"\n[actor.intensity]\nmost = 100\nwithin = 1.0\n'
    daemon = make_daemon(FLEET + blocked + "[actor.health]\nsilent_after = 1.0\n").start()
    (daemon.folder / "block").touch()
    os.kill(daemon.row("blocked")["pid"], signal.SIGKILL)
    daemon.wait(lambda: daemon.kinds("blocked").count("cell-exited") > 1, "the blocked cell to be killed as silent")
    held = daemon.run("hold", "blocked")
    assert held.returncode == 0, held.stderr
    refused = daemon.run("ask", "blocked", '{"type": "Note", "text": "x"}')
    assert (refused.returncode, "held" in refused.stderr) == (4, True), refused.stderr


def test_a_cell_that_dies_again_and_again_is_held_and_revived_by_hand(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(FLEET.replace("open = true", "open = true\n[actor.intensity]\nmost = 1\n")).start()
    for _ in range(2):
        daemon.wait(lambda: daemon.row("desk")["state"] == "running", "desk to run")
        os.kill(daemon.row("desk")["pid"], signal.SIGKILL)
    daemon.wait(lambda: daemon.row("desk")["state"] == "held", "desk to be held")
    assert ask(daemon).returncode == 4
    assert daemon.run("revive", "desk").returncode == 0
    assert ask(daemon).returncode == 0


def test_hold_refuses_and_revive_serves_again(daemon: Daemon) -> None:
    assert daemon.run("hold", "desk").returncode == 0
    assert ask(daemon).returncode == 4
    assert daemon.run("revive", "desk").returncode == 0
    assert ask(daemon).returncode == 0


def test_restart_by_hand_makes_a_new_object_and_keeps_the_process(daemon: Daemon) -> None:
    pid = daemon.row("desk")["pid"]
    assert daemon.run("restart", "desk").returncode == 0
    daemon.wait(lambda: daemon.row("desk")["restarts"] == 1, "the restart to be counted")
    assert json.loads(ask(daemon).stdout)["pid"] == pid


def test_tell_and_publish_reach_their_actor(daemon: Daemon) -> None:
    assert daemon.run("tell", "clerk", '{"type": "Note", "text": "a"}').returncode == 0
    assert daemon.run("publish", "news", '{"type": "Note", "text": "b"}').returncode == 0

    def counted() -> bool:
        return all(json.loads(ask(daemon, key, actor="clerk").stdout)["text"] == "1" for key in ("notes", "news"))

    daemon.wait(counted, "one note and one event to be counted")


def test_a_killed_nats_server_is_started_again_and_the_fleet_goes_on(daemon: Daemon) -> None:
    [server] = daemon.running("nats-server")
    os.kill(server, signal.SIGKILL)
    daemon.wait(lambda: ask(daemon).returncode == 0, "the fleet to answer again", within=20.0)
    assert "server-exited" in daemon.kinds("nats")


def test_a_cell_that_dies_with_the_server_is_started_again_and_the_daemon_can_still_stop(daemon: Daemon) -> None:
    desk = daemon.row("desk")["pid"]
    for pid in (*daemon.running("nats-server"), desk):
        os.kill(pid, signal.SIGKILL)
    daemon.wait(lambda: ask(daemon).returncode == 0, "the fleet to answer again")
    assert daemon.row("desk")["pid"] != desk
    assert daemon.stop() == 0


def test_a_revival_while_the_cell_starts_is_refused_instead_of_lost(daemon: Daemon) -> None:
    assert daemon.run("hold", "desk").returncode == 0
    killed = daemon.row("desk")["pid"]
    before = daemon.running("callboard.supervisor.worker")
    os.kill(killed, signal.SIGKILL)
    daemon.wait(lambda: bool({*daemon.running("callboard.supervisor.worker")} - {*before}), "a new process")
    [started] = {*daemon.running("callboard.supervisor.worker")} - {*before}
    os.kill(started, signal.SIGSTOP)  # so that it starts for as long as the test looks
    refused = daemon.run("revive", "desk")
    os.kill(started, signal.SIGCONT)
    assert refused.returncode == 4
    assert "cell desk of desk is starting: try again" in refused.stderr
    daemon.wait(lambda: daemon.row("desk")["state"] == "held", "the new process to hold desk")
    assert daemon.run("revive", "desk").returncode == 0
    assert ask(daemon).returncode == 0


def test_what_the_supervisor_itself_refuses_is_recorded_too(daemon: Daemon) -> None:
    assert daemon.run("ask", "supervisor", '{"type": "Nonsense"}').returncode == 6
    daemon.wait(lambda: daemon.kinds("supervisor") == ["message-refused"], "the refusal to be recorded")


def test_up_for_seconds_stops_by_itself(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start("--for", "4")
    assert daemon.process.wait(timeout=15) == 0


def test_no_secret_is_in_arguments_or_environment(daemon: Daemon) -> None:
    where = daemon.where()
    for pid in daemon.processes():
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{pid}/{name}").read_bytes()
            for secret in (where["credentials"]["seed"], where["guest"]["seed"], where["secret"]):
                assert secret.encode() not in text, f"{name} of {pid}"
    assert where["credentials"]["seed"] not in daemon.text()


def test_state_is_private(daemon: Daemon) -> None:
    state = daemon.folder / ".callboard" / "shop"
    assert state.stat().st_mode & 0o777 == 0o700
    for name in ("daemon.json", "daemon.db", "nats/nats.conf", "nats/logins.json", "guest.creds"):
        assert (state / name).stat().st_mode & 0o077 == 0, name


def test_the_worker_says_what_it_is_when_started_by_hand() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "callboard.supervisor.worker"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "started by the daemon" in done.stderr


def test_a_persons_hold_outlives_the_process(daemon: Daemon) -> None:
    assert daemon.run("hold", "desk").returncode == 0
    os.kill(daemon.row("desk")["pid"], signal.SIGKILL)
    daemon.wait(lambda: daemon.kinds("desk").count("cell-started") == 2, "the cell to be started again")
    assert ask(daemon).returncode == 4
    daemon.wait(lambda: daemon.row("desk")["state"] == "held", "the new process to hold it")
    assert ask(daemon).returncode == 4
    assert daemon.run("revive", "desk").returncode == 0
    assert ask(daemon).returncode == 0


def test_who_waits_for_a_cell_that_must_be_killed_at_the_end_hears_so(daemon: Daemon) -> None:
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(ask(daemon, wait=60.0)))
    thread.start()
    daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
    stopped = time.monotonic()
    assert daemon.stop() == 0
    thread.join(timeout=20)
    assert time.monotonic() - stopped < 8.0, "drain_for is 3 s"
    assert done[0].returncode == 6
    assert "actor-died" in done[0].stderr


def test_down_says_that_the_daemon_still_drains_when_its_time_is_up(daemon: Daemon) -> None:
    thread = threading.Thread(target=lambda: ask(daemon, wait=60.0))
    thread.start()
    daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
    done = daemon.run("down", "--timeout", "0.2")
    assert done.returncode == 5
    assert "it drains" in done.stderr
    assert daemon.process.wait(timeout=10) == 0
    thread.join(timeout=20)


def test_what_an_actor_printed_last_is_in_its_log(
    make_daemon: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # or there is nothing to lose
    daemon = make_daemon().start()
    assert daemon.run("down").returncode == 0
    assert "clerk leaves" in (daemon.folder / ".callboard" / "shop" / "logs" / "clerk.log").read_text()


def test_a_cell_that_finds_no_bus_ends_as_one_that_lost_it(tmp_path: Path) -> None:
    order = CellOrder(
        fleet="shop", cell="desk", epoch=1, access=Access(url="nats://127.0.0.1:9"), state=str(tmp_path),
        home=str(tmp_path), homes={}, actors=[],
        flight=str(tmp_path / "desk.flight"), dump=str(tmp_path / "desk.stack"),
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "callboard.supervisor.worker"], input=msgspec.json.encode(order) + b"\n",
        capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == BUS_LOST
    assert b"no connection to nats://127.0.0.1:9" in done.stderr


def test_a_state_folder_that_cannot_be_used_is_named(daemon: Daemon) -> None:
    (daemon.folder / "file").touch()
    done = daemon.run("up", str(daemon.file), "--state", str(daemon.folder / "file"))
    assert done.returncode == 2
    assert "cannot hold the fleet's state" in done.stderr


def test_a_stale_note_of_a_reused_pid_is_seen_through(daemon: Daemon) -> None:
    state = daemon.folder / "other" / "shop"
    state.mkdir(parents=True)
    note = {**daemon.where(), "began": daemon.where()["began"] + 1}
    (state / "daemon.json").write_text(json.dumps(note), encoding="utf-8")
    done = daemon.run("ps", "--state", str(daemon.folder / "other"))
    assert done.returncode == 3
    assert "no daemon" in done.stderr


def test_a_hold_by_hand_outlives_the_daemon(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon().start()
    assert daemon.run("hold", "desk").returncode == 0
    assert daemon.stop() == 0
    daemon.start()
    assert ask(daemon).returncode == Exit.REFUSED
    assert daemon.row("desk")["state"] == "held"
    assert daemon.run("revive", "desk").returncode == 0
    assert daemon.stop() == 0
    daemon.start()
    assert ask(daemon).returncode == 0
