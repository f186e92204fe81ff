"""The embedded server: where it lives, who may speak to it, and how it starts and ends."""

# The options of nats-py have no types:
# pyright: reportUnknownMemberType=false

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import anyio
import msgspec
import nats
import pytest
from anyio import to_thread
from nats.aio.client import Client
from nats.errors import NoRespondersError

from callboard.bus import Credentials, NatsServer, PortTaken, ServerFailed, ServerMissing, find_binary
from callboard.bus.keys import Key
from callboard.bus.server import LEAST_STORE, room_for
from callboard.bus.server_config import MOST_STORE, InvalidSetting, Ports, ServerConfig, quoted
from callboard.guardian import Guardian

_WITHIN = 5.0


async def _until(done: Callable[[], bool], within: float = _WITHIN) -> None:
    with anyio.fail_after(within):
        while not done():  # noqa: ASYNC110 - another process does it, and sends no event
            await anyio.sleep(0.005)


def _port(url: str) -> int:
    return urlsplit(url).port or 0


def _lives(pid: int | str) -> bool:
    """Whether a process runs; one that has ended but is not reaped yet (state Z) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _proc(path: str) -> str:
    return Path("/proc", path).read_text()


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def _told(server: NatsServer, path: str) -> dict[str, object]:
    """Return what the monitor says."""
    async with await anyio.connect_tcp("127.0.0.1", _port(server.monitor_url)) as stream:
        await stream.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        reply = b"".join([chunk async for chunk in stream])
    return msgspec.json.decode(reply.partition(b"\r\n\r\n")[2], type=dict[str, object])


class _Guest:
    """A connection that remembers what it was refused."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    async def note(self, error: Exception) -> None:
        self.refusals.append(str(error).lower())

    async def wait_refused(self, what: str) -> None:
        await _until(lambda: any(what.lower() in refusal for refusal in self.refusals))


@asynccontextmanager
async def _client(server: NatsServer, login: Credentials, guest: _Guest | None = None) -> AsyncGenerator[Client]:
    client = await nats.connect(
        server.url,
        user_jwt_cb=lambda: bytearray(login.jwt.encode()),
        signature_cb=Key(login.seed).answer,
        allow_reconnect=False,
        error_cb=(guest or _Guest()).note,
    )
    try:
        yield client
    finally:
        await client.close()


def _public(server: NatsServer) -> tuple[str, str]:
    return server.realm.owner.public, server.realm.guest.public


async def _settled(client: Client) -> None:
    """Wait until the server knows all subscriptions. The first PING may overtake a SUB, the second not."""
    await client.flush()
    await client.flush()


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


def _listening_addresses(port: int) -> list[str]:
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]


# --- where it lives


async def test_a_server_is_ready_when_the_block_begins_and_gone_when_it_ends(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path / "nats", fleet="shop") as server:
        pid = server.pid
        async with _client(server, server.realm.owner) as client:
            await client.jetstream().add_stream(name="S", subjects=["s.>"])
    assert not _lives(pid)
    assert await server.wait_exited() == 0


async def test_its_directory_and_secrets_are_closed_to_other_users(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        (tmp_path / "nats").mkdir(mode=0o777)
        async with NatsServer.open(tmp_path / "nats", fleet="shop"):
            assert _mode(tmp_path / "nats") == 0o700
            assert _mode(tmp_path / "nats/logins.json") == 0o600
            assert _mode(tmp_path / "nats/nats.conf") == 0o600
            assert _mode(tmp_path / "nats/nats.log") == 0o600
            assert (tmp_path / "nats/jetstream").is_dir()
    finally:
        os.umask(old)


async def test_secrets_are_in_no_argument_environment_log_or_configuration(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        secrets = [server.realm.owner.seed, server.realm.guest.seed, server.realm.warden.seed, server.realm.secret]
        shown = [
            _proc(f"{server.pid}/cmdline"),
            _proc(f"{server.pid}/environ"),
            (tmp_path / "nats.log").read_text(),
            (tmp_path / "nats.conf").read_text(),
            repr(server.realm.owner),
            repr(server.options()),
        ]
    assert len(set(secrets)) == 4
    assert not any(secret in text for secret in secrets for text in shown)


async def test_a_secret_of_the_owner_does_not_reach_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "hush")
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        assert "SOME_API_KEY" not in _proc(f"{server.pid}/environ")


async def test_ports_and_logins_stay_over_restarts(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as first:
        facts = (first.url, first.monitor_url, _public(first))
        pid = first.pid
        await first.restart()
        assert first.pid != pid
        assert (first.url, first.monitor_url, _public(first)) == facts
    async with NatsServer.open(tmp_path, fleet="shop") as second:
        assert (second.url, second.monitor_url, _public(second)) == facts


async def test_stored_messages_survive_a_kill(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        async with _client(server, server.realm.owner) as client:
            await client.jetstream().add_stream(name="S", subjects=["s.>"])
            await client.jetstream().publish("s.1", b"kept")
            os.kill(server.pid, signal.SIGKILL)
            with anyio.fail_after(_WITHIN):
                assert await server.wait_exited() == -signal.SIGKILL
        await server.restart()
        async with _client(server, server.realm.owner) as client:
            assert (await client.jetstream().get_msg("S", 1)).data == b"kept"


async def test_ports_lie_outside_the_range_of_outgoing_connections(tmp_path: Path) -> None:
    low, high = map(int, _proc("sys/net/ipv4/ip_local_port_range").split())
    if low < 17_000:
        pytest.skip("this machine gives nearly all ports to outgoing connections")
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        assert not low <= _port(server.url) <= high
        assert not low <= _port(server.monitor_url) <= high


async def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        for url in (server.url, server.monitor_url):
            addresses = _listening_addresses(_port(url))
            assert [address.rpartition(":")[0] for address in addresses] == ["0100007F"]


async def test_the_running_server_syncs_always_and_holds_the_shipped_limits(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        jetstream = msgspec.json.encode((await _told(server, "/jsz?config=true"))["config"])
        told = await _told(server, "/varz")
    config = msgspec.json.decode(jetstream, type=dict[str, object])
    assert config["sync_always"] is True
    assert LEAST_STORE <= cast("int", config["max_storage"]) <= MOST_STORE
    assert told["auth_required"] is True
    assert (told["max_payload"], told["ping_interval"], told["ping_max"]) == (1024**2, 5_000_000_000, 2)
    assert told["write_deadline"] == 10_000_000_000
    assert told["websocket"] == told["mqtt"] == told["leaf"] == told["cluster"] == told["gateway"] == {}


async def test_a_directory_with_an_awkward_name_is_no_problem(tmp_path: Path) -> None:
    directory = tmp_path / 'a "b" \\c $HOME # {é}'
    async with NatsServer.open(directory, fleet="shop"):
        assert (directory / "jetstream").is_dir()


async def test_a_log_that_grew_too_long_begins_anew_and_another_one_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "nats.log"
    log.write_text("old\n" * 100)
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        assert log.read_text().startswith("old\n")
        assert "old" not in await server.log_tail()
    log.write_text("old\n" * 2_600_000)
    async with NatsServer.open(tmp_path, fleet="shop"):
        assert "old" not in log.read_text()


# --- who may speak to it


@pytest.mark.parametrize("shown", [{}, {"user": "fleet", "pass": "wrong"}, {"user": "guest", "pass": ""}])
async def test_without_the_right_login_nobody_comes_in(tmp_path: Path, shown: dict[str, str]) -> None:
    # Spoken by hand: the client library leaves its socket open when it is refused.
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        await anyio.connect_tcp("127.0.0.1", _port(server.url)) as stream,
    ):
        await stream.send(b"CONNECT " + msgspec.json.encode(shown) + b"\r\nPING\r\n")
        with anyio.fail_after(_WITHIN):
            reply = b"".join([chunk async for chunk in stream])
    assert b"-ERR 'Authorization Violation'" in reply
    assert b"PONG" not in reply


async def test_a_guest_asks_at_a_front_door_and_hears_the_answer(tmp_path: Path) -> None:
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        _client(server, server.realm.owner) as fleet,
        _client(server, server.realm.guest) as guest,
    ):
        asked = await fleet.subscribe("cb.shop.to.support")
        pinged = await fleet.subscribe("$SRV.PING")
        await _settled(fleet)
        for subject, subscription in (("cb.shop.to.support", asked), ("$SRV.PING", pinged)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_ask, guest, subject)
                question = await subscription.next_msg(timeout=_WITHIN)
                await question.respond(b"answer")


async def _ask(guest: Client, subject: str) -> None:
    assert (await guest.request(subject, b"{}", timeout=_WITHIN)).data == b"answer"


@pytest.mark.parametrize(
    "subject",
    [
        "cb.shop.to.support.cell",
        "cb.other.to.support",
        "cb.shop.on.news.cell",
        "cb.shop.do.support.normal.0.cell",
        "cb.shop.sys.beat",
        "$JS.API.INFO",
        "$JS.ACK.S.C.1.1.1.1.1",
        "$SYS.REQ.SERVER.PING",
        "$SRV.OTHER",
        "_INBOX.somebody",
        "elsewhere",
    ],
)
async def test_a_guest_may_publish_nowhere_else(tmp_path: Path, subject: str) -> None:
    refusals = _Guest()
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        _client(server, server.realm.owner) as fleet,
        _client(server, server.realm.guest, refusals) as guest,
    ):
        everything = await fleet.subscribe(">")
        await _settled(fleet)
        await guest.publish(subject, b"{}")
        await guest.publish("cb.shop.to.support", b"allowed")
        assert (await everything.next_msg(timeout=_WITHIN)).data == b"allowed", "the other did not come through"
        await refusals.wait_refused(f'publish to "{subject}"')


@pytest.mark.parametrize("subject", [">", "cb.shop.to.*", "cb.shop.>", "$SRV.>", "$JS.>", "_CB.>", "*.>"])
async def test_a_guest_may_subscribe_nowhere_else(tmp_path: Path, subject: str) -> None:
    refusals = _Guest()
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        _client(server, server.realm.guest, refusals) as guest,
    ):
        await guest.subscribe(subject)
        await refusals.wait_refused(f'subscription to "{subject}"')


async def test_the_fleet_login_is_no_administrator_of_the_server(tmp_path: Path) -> None:
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        _client(server, server.realm.owner) as fleet,
    ):
        with pytest.raises(NoRespondersError):
            await fleet.request("$SYS.REQ.SERVER.PING", b"", timeout=_WITHIN)


# --- how it starts and ends


async def test_a_missing_binary_is_named_with_the_way_out(tmp_path: Path) -> None:
    missing = tmp_path / "not-there"
    with pytest.raises(ServerMissing, match="--nats-server PATH") as error:
        async with NatsServer.open(tmp_path, fleet="shop", binary=missing):
            pass
    assert str(missing) in error.value.text


@pytest.mark.parametrize("mode", [0o600, 0o700])
async def test_a_file_that_cannot_be_run_is_no_binary(tmp_path: Path, mode: int) -> None:
    binary = tmp_path / "text"
    binary.write_bytes(b"\x00 not a program")
    binary.chmod(mode)
    with pytest.raises(ServerMissing, match="--nats-server PATH"):
        async with NatsServer.open(tmp_path / "nats", fleet="shop", binary=binary):
            pass


def test_the_binary_of_the_installed_package_is_found() -> None:
    assert find_binary().name == "nats-server"


async def test_a_server_that_ends_at_once_is_reported_with_its_code_and_last_words(tmp_path: Path) -> None:
    binary = _script(tmp_path / "broken", "echo 'no luck today' >&2; exit 3")
    with pytest.raises(ServerFailed, match="ended with code 3") as error:
        async with NatsServer.open(tmp_path / "nats", fleet="shop", binary=binary):
            pass
    assert error.value.detail["exit_code"] == 3
    assert error.value.detail["log"] == "no luck today"
    assert "no luck today" in error.value.text


async def test_a_program_that_just_fails_is_reported_quickly(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ServerFailed, match="ended with code 1"):
        async with NatsServer.open(tmp_path, fleet="shop", binary=Path("/bin/false")):
            pass
    assert time.monotonic() - began < 2.0


async def test_a_server_that_never_becomes_ready_is_ended_and_reported(tmp_path: Path) -> None:
    binary = _script(tmp_path / "asleep", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    with pytest.raises(ServerFailed, match=r"was not ready within 0\.3 s"):
        async with NatsServer.open(tmp_path / "nats", fleet="shop", binary=binary, ready_within=0.3):
            pass
    assert not _lives((tmp_path / "pid").read_text().strip())


async def test_a_cancelled_start_leaves_no_process(tmp_path: Path) -> None:
    binary = _script(tmp_path / "asleep", f"echo $$ > {tmp_path}/pid; exec sleep 60")

    async def start() -> None:
        async with NatsServer.open(tmp_path / "nats", fleet="shop", binary=binary):
            pytest.fail("it cannot be ready")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        tasks.cancel_scope.cancel()
    assert not _lives((tmp_path / "pid").read_text().strip())


async def test_a_kept_port_that_stays_taken_is_named_with_its_holder_and_the_way_out(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        port = _port(server.url)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortTaken) as error:
        async with NatsServer.open(tmp_path, fleet="shop"):
            pass
    assert error.value.detail["port"] == port
    assert f"process {os.getpid()} " in error.value.text
    assert str(tmp_path / "ports.json") in error.value.text


async def test_a_kept_port_that_becomes_free_in_time_is_used(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        url = server.url
    holder = socket.create_server(("127.0.0.1", _port(url)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_let_go, holder)
        async with NatsServer.open(tmp_path, fleet="shop") as server:
            assert holder.fileno() == -1
            assert server.url == url


async def _let_go(holder: socket.socket) -> None:
    await anyio.sleep(0.2)  # what is tested is that the start waits for this
    holder.close()


async def test_a_port_lost_in_a_race_on_the_first_start_is_replaced(tmp_path: Path) -> None:
    # On its first run this program says what a server says whose port was taken between our look and its own.
    real, ports = await to_thread.run_sync(find_binary), tmp_path / "nats/ports.json"
    binary = _script(
        tmp_path / "racing",
        f'[ -e {tmp_path}/ran ] && exec {real} "$@"; cp {ports} {tmp_path}/ran; '
        "echo 'listen tcp 127.0.0.1:1: bind: address already in use'; exit 1",
    )
    async with NatsServer.open(tmp_path / "nats", fleet="shop", binary=binary) as server:
        lost = msgspec.json.decode((tmp_path / "ran").read_bytes(), type=Ports)
        kept = msgspec.json.decode(ports.read_bytes(), type=Ports)
        assert lost != kept
        assert _port(server.url) == kept.client


async def test_two_servers_never_share_a_directory(tmp_path: Path) -> None:
    # The second finds other ports, as if somebody had deleted the file: the lock still holds it off.
    async with NatsServer.open(tmp_path, fleet="shop") as first:
        (tmp_path / "ports.json").unlink()
        pid = first.pid
        with pytest.raises(ServerFailed, match="still belongs to another nats-server"):
            async with NatsServer.open(tmp_path, fleet="shop"):
                pass
        assert first.pid == pid
        assert _lives(pid)


@pytest.mark.parametrize("name", ["ports.json", "logins.json"])
async def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'{"client": 99999999')
    with pytest.raises(ServerFailed, match=f"{name} is damaged"):
        async with NatsServer.open(tmp_path, fleet="shop"):
            pass


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerFailed, match="cannot use"):
        async with NatsServer.open(tmp_path / "file/nats", fleet="shop"):
            pass


async def test_a_stopped_server_that_ignores_the_first_signal_is_killed(tmp_path: Path) -> None:
    async with NatsServer.open(tmp_path, fleet="shop") as server:
        os.kill(server.pid, signal.SIGSTOP)
        with anyio.fail_after(8.0):
            await server.stop()
        assert await server.wait_exited() == -signal.SIGKILL


_OWNER = """
import sys, anyio
from pathlib import Path
from typing import cast
from callboard.bus.server import NatsServer
from callboard.guardian import Guardian

async def main():
    with Guardian.start() as guardian:
        async with NatsServer.open(Path(sys.argv[1]), fleet="shop", guardian=guardian) as server:
            print(server.pid, server.url, flush=True)
            await anyio.sleep_forever()

anyio.run(main)
"""


def _start_and_kill_an_owner(directory: Path) -> tuple[str, str]:
    """Return the process id and the address of the server that it had."""
    command = [sys.executable, "-c", _OWNER, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, url = owner.stdout.readline().split()
        owner.kill()
    return pid, url


async def test_a_new_owner_waits_for_the_server_of_a_killed_one_and_takes_its_place(tmp_path: Path) -> None:
    pid, url = await to_thread.run_sync(_start_and_kill_an_owner, tmp_path)
    with anyio.fail_after(4.0):
        async with NatsServer.open(tmp_path, fleet="shop") as server:
            assert not _lives(pid)
            assert server.url == url


async def test_a_server_that_was_stopped_in_order_is_no_longer_the_guardians(tmp_path: Path) -> None:
    with Guardian.start() as guardian:
        async with NatsServer.open(tmp_path, fleet="shop", guardian=guardian):
            pass
        began = time.monotonic()
    assert time.monotonic() - began < 1.0


# --- its configuration


def _config(**changed: object) -> ServerConfig:
    plain = ServerConfig(
        server_name="callboard-shop",
        operator="e.y.J",
        system="ABC",
        accounts={"ABC": "e.y.J"},
        tokens_dir="/tmp/accounts",
        ports=Ports(client=15000, monitor=15001),
        store_dir="/tmp/store",
    )
    return msgspec.structs.replace(plain, **changed)


def test_nothing_that_listens_elsewhere_or_lets_strangers_in_is_configured() -> None:
    text = _config().text()
    for word in ("websocket", "mqtt", "leafnode", "cluster", "gateway", "no_auth_user", "deny"):
        assert word not in text


@pytest.mark.parametrize("value", ["", "a\nb", "a\r", "\x00", "a\x7f", "\x85", "\udcff"])
def test_what_cannot_be_quoted_is_refused(value: str) -> None:
    with pytest.raises(InvalidSetting, match="cannot stand in"):
        quoted(value)
    with pytest.raises(InvalidSetting):
        _config(store_dir=value).text()


def test_quotes_and_backslashes_are_escaped() -> None:
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'


@pytest.mark.parametrize(
    "changed",
    [
        {"ports": Ports(client=15000, monitor=15000)},
        {"operator": 'e" }'},
        {"accounts": {"A }": "e.y.J"}},
        {"server_name": "two words"},
    ],
)
def test_combinations_that_the_server_would_misread_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting):
        _config(**changed).text()


def test_a_server_may_store_half_of_what_is_free_beside_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "jetstream").mkdir()
    free = shutil.disk_usage(tmp_path).free
    assert LEAST_STORE <= room_for(tmp_path) <= MOST_STORE
    assert room_for(tmp_path) <= max(LEAST_STORE, free // 2 + free // 10)
