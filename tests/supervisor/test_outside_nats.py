"""An outside NATS server: by URL, with a login, and over TLS."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from anyio.from_thread import start_blocking_portal

from callboard.bus import NatsServer, find_binary
from callboard.supervisor.access import access_outside
from callboard.supervisor.cli.exits import Exit
from callboard.supervisor.config import BusTable, FleetConfig
from callboard.supervisor.errors import BadFleet

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


def test_with_one_login_it_says_that_nobody_but_the_process_enforces_permissions(
    make_daemon: Callable[..., Daemon], run_server: Callable[[str], int], tmp_path: Path
) -> None:
    daemon = make_daemon(fleet_on(f"nats://127.0.0.1:{run_server('')}", tmp_path)).start()
    assert "permissions: in process only" in daemon.text()
    assert "permissions are enforced in process only" in daemon.run("health", "desk").stdout
    assert "permissions: in process only" in daemon.run("doctor").stdout


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[NatsServer]:
    """Run a server whose operator gives others a key to sign with."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(NatsServer.open(tmp_path / "theirs", fleet="theirs")) as server,
    ):
        yield server


def test_with_a_signing_key_each_life_of_a_cell_is_a_user_of_its_own(
    make_daemon: Callable[..., Daemon], operated: NatsServer, tmp_path: Path
) -> None:
    key = tmp_path / "account.seed"
    key.write_text(operated.realm.signing_key.seed, encoding="utf-8")
    key.chmod(0o600)
    account = f'account = "{operated.realm.fleet_account}"\nsigning_key_file = "account.seed"'
    daemon = make_daemon(f'[bus]\nurl = "{operated.url}"\n{account}\n{FLEET}').start()
    assert daemon.run(*ASK).returncode == 0
    assert "by the server, for each life of each cell; who is killed is not revoked there" in daemon.text()
    with urlopen(f"{operated.monitor_url}/connz?auth=1", timeout=5) as answer:  # noqa: S310 - our own server
        known = {each["name"]: each["authorized_user"] for each in json.load(answer)["connections"]}
    assert {"shop/desk", "shop/clerk", "shop/daemon"} <= known.keys()
    assert len({known["shop/desk"], known["shop/clerk"], known["shop/daemon"]}) == 3
    key.write_text("SAnonsense", encoding="utf-8")
    assert daemon.stop() == 0
    refused = daemon.run("up", str(daemon.file))
    assert refused.returncode == Exit.USAGE
    assert "no seed of an nkey" in refused.stderr


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("nats://127.0.0.1:4222", True), ("nats://127.3.4.5:4222", True), ("nats://[::1]:4222", True),
        ("localhost:4222", True), ("tls://nats.example.org:4222", True), ("nats://nats.example.org:4222", False),
        ("nats.example.org", False), ("nats://10.0.0.7:4222", False), ("nats://localhost.example.org", False),
        ("nats://me:secret@10.0.0.7:4222", False), ("nats://127.0.0.1.example.org", False),
    ],
)  # fmt: skip
def test_a_server_elsewhere_is_spoken_to_with_tls_or_by_a_word_that_it_need_not_be(url: str, *, fine: bool) -> None:
    def config(*, plain: bool) -> FleetConfig:
        bus = BusTable(url=url, plain=plain)
        return FleetConfig(name="shop", bus=bus, actors=(), tables=(), home=Path("/"))

    assert access_outside(config(plain=True)).url == url
    if fine:
        assert access_outside(config(plain=False)).url == url
        return
    with pytest.raises(BadFleet, match="has no TLS") as error:
        access_outside(config(plain=False))
    assert "secret" not in error.value.text
