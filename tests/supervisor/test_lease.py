"""One daemon for a fleet on one outside NATS, whatever their state directories."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest

from callboard.bus import Credentials, Holder

from .conftest import FLEET, Daemon
from .test_outside_nats import fleet_on, run_server

__all__ = ["run_server"]
HI = ("ask", "desk", '{"type": "Question", "text": "hi"}')
TTL = 12.0


async def _make_bucket(port: int, ttl: float) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}", user="them", password="their secret")  # noqa: S106
    await client.jetstream().create_key_value(bucket="callboard-leases", ttl=ttl, history=1)
    await client.close()


async def _put(port: int, holder: Holder) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}", user="them", password="their secret")  # noqa: S106
    bucket = await client.jetstream().key_value("callboard-leases")
    await bucket.put("shop", msgspec.json.encode(holder))
    await client.close()


@pytest.fixture
def jetstream(run_server: Callable[[str], int], tmp_path: Path) -> int:
    """An outside server with JetStream, on which a lease lasts twelve seconds."""
    port = run_server(f'jetstream {{ store_dir: "{tmp_path / "stream"}" }}')
    asyncio.run(_make_bucket(port, TTL))
    return port


@pytest.fixture
def make_on(tmp_path: Path) -> Iterator[Callable[[str, int], Daemon]]:
    """Make daemons of the same fleet in folders, so state directories, of their own."""
    made: list[Daemon] = []

    def make(name: str, port: int) -> Daemon:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Daemon(folder, fleet_on(f"nats://127.0.0.1:{port}", folder)))
        return made[-1]

    yield make
    for daemon in made:
        daemon.end()


def refused(daemon: Daemon) -> "subprocess.CompletedProcess[str]":
    done = daemon.run("up", str(daemon.file), within=30.0)
    assert done.returncode == 2, done.stdout + done.stderr
    return done


def event(daemon: Daemon, kind: str) -> dict[str, Any]:
    [found] = daemon.json("events", "--kind", kind)
    return dict(found)


def test_a_second_daemon_of_the_same_fleet_on_the_same_nats_is_refused(
    jetstream: int, make_on: Callable[[str, int], Daemon]
) -> None:
    first, second = make_on("one", jetstream).start(), make_on("two", jetstream)
    text = refused(second).stderr
    assert f"process {first.process.pid} on {socket.gethostname()}" in text
    assert "daemon-runs" in text
    assert "held in JetStream for 12 s at a time" in event(first, "lease-taken")["text"]
    assert first.run(*HI).returncode == 0


def test_after_an_orderly_end_another_may_start_at_once(jetstream: int, make_on: Callable[[str, int], Daemon]) -> None:
    first, second = make_on("one", jetstream).start(), make_on("two", jetstream)
    assert first.stop() == 0
    second.start()
    assert second.run(*HI).returncode == 0


@pytest.mark.long
def test_a_killed_daemon_takes_its_own_lease_at_once_and_another_only_after_its_time(
    jetstream: int, make_on: Callable[[str, int], Daemon]
) -> None:
    first, second = make_on("one", jetstream).start(), make_on("two", jetstream)
    first.process.kill()
    first.process.wait()
    began = time.monotonic()
    first.start()
    assert time.monotonic() - began < TTL * 0.75
    first.process.kill()
    first.process.wait()
    killed = time.monotonic()
    assert f"process {first.process.pid} on" in refused(second).stderr
    second.wait(lambda: second.run("up", str(second.file), "--for", "0.5").returncode == 0, "the lease to end")
    assert TTL * 0.5 < time.monotonic() - killed < TTL + 6.0


def test_a_daemon_that_comes_back_at_once_lets_the_old_cells_end_first(
    jetstream: int, make_on: Callable[[str, int], Daemon]
) -> None:
    """On an outside NATS nothing else holds the new cells up while the old ones finish what they have in hand."""
    daemon = make_on("one", jetstream).start()
    long = '{"type": "Question", "text": "hi", "wait": 60.0}'
    command = [sys.executable, "-m", "callboard.supervisor.cli", "ask", "desk", long, "--timeout", "60"]
    with subprocess.Popen(command, cwd=daemon.folder, stderr=subprocess.DEVNULL) as asking:
        daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
        old = daemon.running("callboard.supervisor.worker")
        daemon.process.kill()
        daemon.process.wait()
        daemon.start()
        new = daemon.running("callboard.supervisor.worker")
        asking.kill()
    assert len(new) == 2
    assert not {*old} & {*new}
    assert daemon.run(*HI).returncode == 0


def test_a_daemon_that_cannot_renew_stops_its_fleet_before_another_may_start_it(
    jetstream: int, make_on: Callable[[str, int], Daemon], tmp_path: Path
) -> None:
    daemon = make_on("one", jetstream).start()
    [server] = _servers(tmp_path / "outside.conf")
    paused = time.monotonic()
    os.kill(server, signal.SIGSTOP)
    try:
        daemon.wait(lambda: not daemon.running("callboard.supervisor.worker"), "the cells to end", within=TTL)
        assert time.monotonic() - paused > TTL * 0.5, "and not for a hiccup"
        daemon.process.wait(timeout=15)
    finally:
        os.kill(server, signal.SIGCONT)
    assert "stopping: the lease could not be renewed" in daemon.text()
    assert daemon.process.returncode == 0
    daemon.start()
    assert daemon.run(*HI).returncode == 0


@pytest.mark.long
def test_a_stopped_daemon_is_ended_with_its_cells_before_another_may_start(
    jetstream: int, make_on: Callable[[str, int], Daemon]
) -> None:
    first, second = make_on("one", jetstream).start(), make_on("two", jetstream)
    stopped = time.monotonic()
    os.kill(first.process.pid, signal.SIGSTOP)
    first.wait(lambda: not first.processes(), "its guardian to end it, and all its cells", within=TTL)
    assert first.process.wait() == -signal.SIGKILL
    assert time.monotonic() - stopped > TTL * 0.5, "and not for a hiccup"
    second.wait(lambda: second.run("up", str(second.file), "--for", "0.5").returncode == 0, "the lease to end")


def test_a_daemon_whose_lease_was_taken_from_it_ends(jetstream: int, make_on: Callable[[str, int], Daemon]) -> None:
    """As if its clock had stood still: what the server says is what counts."""
    first = make_on("one", jetstream).start()
    asyncio.run(_put(jetstream, Holder(owner="another", host="far.example", pid=77)))
    first.process.wait(timeout=15)
    assert "stopping: the lease is another's: 'shop' is held by process 77 on far.example" in first.text()
    assert not first.processes()


def test_without_jetstream_it_is_asked_who_runs_and_the_record_says_so(
    run_server: Callable[[str], int], make_on: Callable[[str, int], Daemon]
) -> None:
    port = run_server("")
    first, second = make_on("one", port).start(), make_on("two", port)
    assert f"process {first.process.pid} on {socket.gethostname()}" in refused(second).stderr
    assert "no JetStream" in event(first, "lease-by-asking")["text"]
    first.process.kill()
    first.process.wait()
    second.start()
    assert second.run(*HI).returncode == 0


def test_a_daemon_on_anothers_embedded_server_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    where = daemon.where()
    folder = tmp_path / "two"
    folder.mkdir()
    secret = folder / "owner.creds"
    secret.write_text(Credentials(**where["credentials"]).file(), encoding="utf-8")
    secret.chmod(0o600)
    bus = f'[bus]\nurl = "{where["url"]}"\ncredentials_file = "owner.creds"\n'
    second = Daemon(folder, bus + FLEET)
    assert f"process {daemon.process.pid} on" in refused(second).stderr
    assert json.loads(daemon.run(*HI, "--json").stdout)["text"] == "HI"


@pytest.mark.long
@pytest.mark.timeout(120)
def test_an_outside_server_paused_for_half_a_minute_costs_neither_lease_nor_process(
    run_server: Callable[[str], int], make_on: Callable[[str, int], Daemon], tmp_path: Path
) -> None:
    daemon = make_on("one", run_server(f'jetstream {{ store_dir: "{tmp_path / "stream"}" }}')).start()
    before = sorted(daemon.running("callboard.supervisor.worker"))
    [server] = _servers(tmp_path / "outside.conf")
    end = time.monotonic() + 30.0
    os.kill(server, signal.SIGSTOP)
    try:
        daemon.wait(lambda: time.monotonic() > end, "the pause to be over", within=31.0)
    finally:
        os.kill(server, signal.SIGCONT)
    daemon.wait(lambda: daemon.run(*HI).returncode == 0, "desk to answer")
    assert sorted(daemon.running("callboard.supervisor.worker")) == before
    assert daemon.json("events", "--kind", "lease-lost") == []


def _servers(config: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(config).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
