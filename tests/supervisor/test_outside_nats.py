"""An outside NATS server: by URL, with a login, and over TLS."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callboard.bus import find_binary

from .conftest import FLEET, Daemon

ASK = ("ask", "desk", '{"type": "Question", "text": "hi"}')


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def run_server(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    running: list[subprocess.Popen[bytes]] = []

    def run(more: str) -> int:
        port = free_port()
        config = tmp_path / "outside.conf"
        users = 'authorization { users: [ { user: "them", password: "their secret" } ] }'
        config.write_text(f"listen: 127.0.0.1:{port}\n{users}\n{more}\n", encoding="utf-8")
        running.append(subprocess.Popen([find_binary(), "-c", config], stderr=subprocess.DEVNULL, cwd="/"))
        end = time.monotonic() + 10
        while not listens(port):
            assert time.monotonic() < end, "the outside server listens"
        return port

    yield run
    for process in running:
        process.terminate()
        process.wait(timeout=10)


def fleet_on(url: str, tmp_path: Path, more: str = "") -> str:
    secret = tmp_path / "nats.password"
    secret.write_text("their secret\n", encoding="utf-8")
    secret.chmod(0o600)
    return f'[bus]\nurl = "{url}"\nuser = "them"\npassword_file = "nats.password"\n{more}\n{FLEET}'


def test_a_fleet_runs_on_an_outside_server(
    make_daemon: Callable[..., Daemon], run_server: Callable[[str], int], tmp_path: Path
) -> None:
    url = f"nats://127.0.0.1:{run_server('')}"
    daemon = make_daemon(fleet_on(url, tmp_path)).start()
    assert daemon.run(*ASK).returncode == 0
    assert url in daemon.text()
    assert not (tmp_path / ".callboard" / "shop" / "nats").exists(), "no server of our own"


def test_a_fleet_runs_over_tls(
    make_daemon: Callable[..., Daemon], run_server: Callable[[str], int], tmp_path: Path
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine to make a certificate with")
    make = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", "key.pem", "-out", "ca.pem"]  # fmt: skip
    subprocess.run(make, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    tls = f'tls {{ cert_file: "{tmp_path}/ca.pem", key_file: "{tmp_path}/key.pem" }}'
    port = run_server(tls)
    daemon = make_daemon(fleet_on(f"tls://127.0.0.1:{port}", tmp_path, 'ca = "ca.pem"')).start()
    assert daemon.run(*ASK).returncode == 0


def test_a_password_file_that_others_can_read_is_refused(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = make_daemon(fleet_on("nats://127.0.0.1:9", tmp_path))
    (tmp_path / "nats.password").chmod(0o644)
    done = daemon.run("up", str(daemon.file))
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
