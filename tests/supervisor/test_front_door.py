"""The front door: any NATS client in any language, with the guest login, bare messages only."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import anyio
import msgspec
import nats
import pytest
from nats.errors import NoRespondersError

from callboard.bus import Credentials

from ..bus.by_hand import greeting
from .conftest import Daemon

HI = b'{"type": "Question", "text": "hi"}'
CLIENT = """
import { readFileSync } from "node:fs";
import { connect, credsAuthenticator } from "@nats-io/transport-node";
const [url, file] = process.argv.slice(2);
const nc = await connect({ servers: url, authenticator: credsAuthenticator(readFileSync(file)) });
const question = JSON.stringify({ type: "Question", text: "from node" });
const reply = await nc.request("cb.shop.to.desk", question, { timeout: 5000 });
console.log(reply.string());
await nc.close();
"""


async def guest(daemon: Daemon) -> Any:
    at = daemon.where()
    return await nats.connect(at["url"], user_credentials=daemon.guest, allow_reconnect=False)


async def outcome(daemon: Daemon, body: bytes, *, actor: str = "desk") -> Any:
    client = await guest(daemon)
    try:
        return (await client.request(f"cb.shop.to.{actor}", body, timeout=5)).data
    finally:
        await client.close()


async def test_a_guest_asks_in_json_and_gets_json(daemon: Daemon) -> None:
    assert json.loads(await outcome(daemon, HI))["text"] == "HI"


async def test_a_guest_asks_in_a_msgpack_map_and_gets_one(daemon: Daemon) -> None:
    reply = await outcome(daemon, msgspec.msgpack.encode({"type": "Question", "text": "hi"}))
    assert msgspec.msgpack.decode(reply)["text"] == "HI"


async def test_an_actor_that_is_not_open_is_not_there_for_a_guest(daemon: Daemon) -> None:
    with pytest.raises(NoRespondersError):
        await outcome(daemon, b'{"type": "Note", "text": "x"}', actor="clerk")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"[1, 2]", "$"),
        (b"{", "$"),
        (b'{"text": "no type"}', "$"),
        (b'{"type": "Unknown"}', "$.type"),
        (b'{"type": "Question", "text": 5}', "$.text"),
        (b'{"type": "Question", "text": "x", "extra": 1}', "$"),
        (b'{"type": "Question", "text": "\xff"}', "$"),
        (b'{"type": "Question", "text": ' + b"[" * 100_000 + b"}", "$"),
        (b'{"type": "Question", "text": "' + b"x" * 300_000 + b'"}', "$"),
        (msgspec.msgpack.encode([1, 2, "tell"]), "$"),
        (b"\x81\xa4type\xa8Question", "$"),
        (b"\xdf\xff\xff\xff\xff", "$"),
        (b"\xc1", "$"),
    ],
    ids=["empty", "array", "cut", "no-type", "unknown-type", "wrong-field", "extra-field", "bad-utf8", "nested-100000",
         "too-large", "envelope", "missing-field", "lying-map", "never-used-byte"],
)  # fmt: skip
async def test_bad_input_gets_a_typed_error_and_nothing_crashes(daemon: Daemon, body: bytes, path: str) -> None:
    reply = await outcome(daemon, body)
    error = json.loads(reply) if reply[:1] == b"{" else msgspec.msgpack.decode(reply)
    assert error["code"] == "message-refused"
    assert error["detail"]["path"] == path
    assert json.loads(await outcome(daemon, HI))["text"] == "HI"
    assert "message-refused" in daemon.kinds("desk")


async def test_a_handler_that_fails_is_said_so_to_the_guest(daemon: Daemon) -> None:
    error = json.loads(await outcome(daemon, b'{"type": "Question", "text": "boom"}'))
    assert (error["code"], error["detail"]["exception"]) == ("handler-failed", "ValueError")


async def test_a_guest_may_not_listen_to_the_fleet_nor_speak_inside_it(daemon: Daemon) -> None:
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    at = daemon.where()
    client = await nats.connect(at["url"], user_credentials=daemon.guest, error_cb=note, allow_reconnect=False)
    for subject in ("cb.>", "_CB.>", "cb.shop.to.desk.*", ">", "$SYS.>", "$JS.>"):
        await client.subscribe(subject)
    for subject in ("cb.shop.to.desk.daemon", "cb.shop.sys.notice.daemon", "cb.shop.on.news.x", "$JS.API.STREAM.LIST"):
        await client.publish(subject, b"x")
    await client.flush()
    with anyio.move_on_after(5):
        while len(refused) < 10:
            await client.flush()
    await client.close()
    assert len([error for error in refused if "permissions violation" in error]) == 10


async def test_broken_headers_from_a_raw_socket_hurt_nobody(daemon: Daemon) -> None:
    at = daemon.where()
    host, _, port = at["url"].removeprefix("nats://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(greeting(raw.recv(65536), Credentials(**at["guest"])))
        assert raw.recv(65536) == b"PONG\r\n"
        for header in (
            b"NATS/1.0 \xff\xfe\r\n\r\n",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0",
            b"NATS/1.0\r\nStatus: 404\r\n\r\n",
        ):
            raw.sendall(b"HPUB cb.shop.to.desk %d %d\r\n%b\r\n" % (len(header), len(header), header))
        raw.sendall(b"PING\r\n")
        raw.settimeout(5)
        seen = b""
        while b"PONG" not in seen:
            part = raw.recv(65536)
            if not part:
                break
            seen += part
    assert json.loads(await outcome(daemon, HI))["text"] == "HI"
    assert daemon.row("desk")["restarts"] == 0


def test_a_node_client_asks_an_open_actor_in_json(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any NATS client in any language is a citizen: here npm's @nats-io/transport-node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        if os.environ.get("CI"):
            pytest.fail("node and npm must be there in CI")
        pytest.skip("no node and npm on this machine")
    folder = tmp_path_factory.mktemp("node")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "@nats-io/transport-node@3"]
    subprocess.run(install, cwd=folder, check=True, timeout=120, capture_output=True)
    script = Path(folder) / "client.mjs"
    script.write_text(CLIENT, encoding="utf-8")
    at = daemon.where()
    done = subprocess.run(
        [node, str(script), at["url"], daemon.guest],
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "FROM NODE"
