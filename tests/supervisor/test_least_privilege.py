"""A process that lies: what the server does not let it say, that it is reported, and that it ends.

The liar is an actor that finds its cell's connection in memory and speaks over it without our library's checks.
"""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import nats
import pytest
from nats.errors import Error

from callboard.bus import Credentials

from ..bus.by_hand import spoken
from .conftest import Daemon

AGENTS = '''
import gc
import json
import os

import anyio

from callboard import Actor, CallboardError, Context, Grant, Json, Message, receive
from callboard.actors import Speaker
from callboard.bus.connection import Connection


class Lie(Message):
    lines: list[str]


class Note(Message):
    text: str


class Flood(Message):
    subject: str


class Ask(Message):
    order: str


class Answer(Message):
    code: str


class Liar(Actor):
    may = Grant(tell=("clerk",))

    @receive
    async def lie(self, message: Lie, ctx: Context) -> None:
        wire = next(each for each in gc.get_objects() if isinstance(each, Connection)).wire
        for line in message.lines:
            wire._say(line.encode())

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        """Give away who it is at the server."""
        options = next(each for each in gc.get_objects() if isinstance(each, Connection))._options
        found = {"jwt": options.credentials.jwt, "seed": options.credentials.seed, "public": options.credentials.public}
        with open(os.path.join(os.path.dirname(__file__), "stolen"), "w") as file:
            json.dump(found, file)


    @receive
    async def ask(self, message: Ask, ctx: Context) -> Answer:
        """Ask the supervisor, past the grant."""
        speaker = Speaker(ctx._endpoint)
        kind = json.loads(message.order)["type"]
        try:
            await speaker.ask("supervisor", Json(message.order.encode(), kind), timeout=5.0)
        except CallboardError as error:
            return Answer(code=error.code)
        return Answer(code="done")


    @receive
    async def flood(self, message: Flood, ctx: Context) -> None:
        """Say nothing to one address, as often as the server takes it."""
        wire = next(each for each in gc.get_objects() if isinstance(each, Connection)).wire
        line = f"PUB {message.subject} 0\\r\\n\\r\\n".encode() * 10_000
        while True:
            wire._say(line)
            await wire.settle()
            await anyio.lowlevel.checkpoint()


class Clerk(Actor):
    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        await ctx.memory.incr("notes")


class Reader(Actor):
    @receive(topic="news")
    async def news(self, message: Note, ctx: Context) -> None: ...
'''
FLEET = """
[fleet]
name = "shop"

[[actor]]
use = "lying_agents:Liar"
open = true
[actor.intensity]
most = 1
within = 600.0

[[actor]]
use = "lying_agents:Clerk"

[[actor]]
use = "lying_agents:Reader"
"""
LIES = {
    "a sender that it is not": "PUB cb.shop.to.clerk.reader 0\r\n\r\n",
    "an order to the daemon in another's name": "PUB cb.shop.to.supervisor.clerk 0\r\n\r\n",
    "an order to another cell's keeper": "PUB cb.shop.to.cell-clerk.liar 0\r\n\r\n",
    "another's beat": "PUB cb.shop.sys.beat.clerk 0\r\n\r\n",
    "news of another's death": "PUB cb.shop.sys.notice.clerk 0\r\n\r\n",
    "an event without leave": "PUB cb.shop.on.news.liar 0\r\n\r\n",
    "a task without leave": "PUB cb.shop.do.clerk.normal.0.liar 0\r\n\r\n",
    "at the front door": "PUB cb.shop.to.liar 0\r\n\r\n",
    "the end of another's work": "PUB $JS.ACK.cb_shop_clerk.normal.1.1.1.1.0 4\r\n+ACK\r\n",
    "the death of another's work": "PUB $JS.ACK.cb_shop_clerk.normal.1.1.1.1.0 5\r\n+TERM\r\n",
    "another's work": "PUB $JS.API.CONSUMER.MSG.NEXT.cb_shop_clerk.normal 0\r\n\r\n",
    "a stream": "PUB $JS.API.STREAM.CREATE.mine 2\r\n{}\r\n",
    "the end of a queue": "PUB $JS.API.STREAM.DELETE.cb_shop_clerk 0\r\n\r\n",
    "administration": "PUB $SYS.REQ.CLAIMS.UPDATE 1\r\nx\r\n",
    "others' mail": "SUB cb.shop.to.clerk.* 9001\r\n",
    "all replies": "SUB _CB.> 9002\r\n",
    "all": "SUB > 9003\r\n",
    "guests' replies": "SUB _R_.> 9004\r\n",
    "events without leave": "SUB cb.shop.on.news.* 9005\r\n",
}
SEED = re.compile(rb"S[AUO][A-Z2-7]{56}")


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a running daemon of a liar, a clerk and a reader."""
    made = make_daemon(FLEET)
    (made.folder / "lying_agents.py").write_text(AGENTS, encoding="utf-8")
    return made.start()


def lie(daemon: Daemon, *lines: str) -> None:
    done = daemon.run("tell", "liar", json.dumps({"type": "Lie", "lines": lines}))
    assert done.returncode == 0, done.stderr


def told(daemon: Daemon, kind: str) -> list[str]:
    """Return the texts of all events of that kind of the liar, oldest first."""
    events = daemon.json("events", "--of", "liar", "--limit", "1000")
    return [event["text"] for event in events if event["kind"] == kind]


@pytest.fixture
def stolen(daemon: Daemon) -> Credentials:
    """Return who the liar's first process is at the server."""
    file = daemon.folder / "stolen"
    assert daemon.run("tell", "liar", '{"type": "Note", "text": "x"}').returncode == 0
    daemon.wait(lambda: file.exists() and file.read_text().endswith("}"), "the liar to give itself away")
    return Credentials(**json.loads(file.read_text()))


def test_what_a_lying_process_tries_is_refused_and_reported_by_name(daemon: Daemon) -> None:
    lie(daemon, *LIES.values())
    wanted = {line.split()[1] for line in LIES.values()}
    daemon.wait(lambda: len(told(daemon, "refused-by-server")) == len(LIES), "every lie to be reported")
    assert {text.split()[-1] for text in told(daemon, "refused-by-server")} == wanted
    assert daemon.row("clerk")["restarts"] == 0
    assert daemon.kinds("clerk").count("cell-started") == 1


def test_a_process_that_goes_on_lying_is_ended_and_then_held(daemon: Daemon) -> None:
    for life in (1, 2):
        lie(daemon, *["PUB cb.shop.to.clerk.reader 0\r\n\r\n"] * 100)
        daemon.wait(lambda: daemon.kinds("liar").count("cell-exited") == life, "the liar to be ended")  # noqa: B023
    daemon.wait(lambda: daemon.row("liar")["state"] == "held", "the liar to be held")
    [why, _] = told(daemon, "cell-exited")
    assert "trespassing: the server refused it 50 times" in why
    assert "publish cb.shop.to.clerk.reader" in why


ORDERS: dict[str, tuple[str, dict[str, object]]] = {
    "hold another": ("Order", {"verb": "hold", "actor": "clerk"}),
    "stop the fleet": ("Stop", {}),
    "apply a fleet file": ("Reloaded", {}),
    "read what was seen": ("ListEvents", {}),
    "take a message out of quarantine": ("RetryDead", {"which": ["x"]}),
    "look into another": ("Inspect", {"actor": "clerk"}),
    "say that another is ready": ("CellReady", {"cell": "clerk", "epoch": 1}),
    "record an order": ("Recorded", {"kind": "ordered", "subject": "quarantine", "text": "x", "detail": {}}),
    "record another's end": ("Recorded", {"kind": "cell-exited", "subject": "clerk", "text": "x", "detail": {}}),
    "be given what waits for another": ("CellUp", {"cell": "clerk", "epoch": 1, "actor": "clerk", "begin": True}),
}


def test_a_cell_gives_no_orders_though_it_may_report(daemon: Daemon) -> None:
    """Every cell may speak to the supervisor: what it may say there is decided by who it is."""
    for kind, fields in ORDERS.values():
        order = json.dumps({"type": kind, **fields})
        asked = daemon.run("ask", "liar", json.dumps({"type": "Ask", "order": order}))
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout)["code"] == "permission-denied", order
    assert all(text.startswith("cell 'liar' may not") for text in told(daemon, "permission-denied"))
    assert len(told(daemon, "permission-denied")) == len(ORDERS)
    assert daemon.row("clerk")["state"] == "running"


def test_a_process_that_floods_whom_it_may_tell_is_ended(daemon: Daemon) -> None:
    assert daemon.run("tell", "liar", '{"type": "Flood", "subject": "cb.shop.to.clerk.liar"}').returncode == 0
    daemon.wait(lambda: daemon.kinds("liar").count("cell-exited") == 1, "the flood to be seen")
    assert "flooding: it sends " in told(daemon, "cell-exited")[0]
    daemon.wait(lambda: daemon.kinds("liar").count("cell-started") == 2, "its next life")
    assert daemon.row("clerk")["restarts"] == 0


async def test_who_was_a_process_that_is_dead_is_nobody(daemon: Daemon, stolen: Credentials) -> None:
    url = daemon.where()["url"]
    async with spoken(url, stolen) as stream:
        os.kill(daemon.row("liar")["pid"], signal.SIGKILL)
        with anyio.fail_after(5):
            said = b"".join([part async for part in stream])
    assert b"-ERR" in said, "what is connected in its name is put out"
    daemon.wait(lambda: daemon.kinds("liar").count("cell-started") == 2, "the next one to start")
    with pytest.raises((RuntimeError, anyio.BrokenResourceError, anyio.EndOfStream)):
        async with spoken(url, stolen):
            pass


async def test_it_stays_nobody_when_the_server_is_started_again(daemon: Daemon, stolen: Credentials) -> None:
    os.kill(daemon.row("liar")["pid"], signal.SIGKILL)
    daemon.wait(lambda: daemon.kinds("liar").count("cell-started") == 2, "the next one to start")
    [server] = daemon.running("nats-server")
    os.kill(server, signal.SIGKILL)
    daemon.wait(lambda: daemon.run("tell", "clerk", '{"type": "Note", "text": "x"}').returncode == 0, "a server")
    with pytest.raises((RuntimeError, anyio.BrokenResourceError, anyio.EndOfStream)):
        async with spoken(daemon.where()["url"], stolen):
            pass


async def test_it_is_nobody_to_a_later_daemon(daemon: Daemon, stolen: Credentials) -> None:
    assert daemon.stop() == 0
    daemon.start()
    with pytest.raises((RuntimeError, anyio.BrokenResourceError, anyio.EndOfStream)):
        async with spoken(daemon.where()["url"], stolen):
            pass


async def test_no_reply_address_of_a_guest_costs_a_cell_anything(daemon: Daemon) -> None:
    """A cell that answered wherever it is asked to would be refused by the server, and ended for it."""
    odd = ("foo", "_INBOX", "_INBOX.a..b", "_INBOX.a.", "_CB.a.r", "cb.shop.to.clerk.liar", "$SYS.x", "_INBOX.ok.1")
    where = daemon.where()
    async with spoken(where["url"], Credentials(**where["guest"])) as stream:
        for _ in range(20):
            for address in odd:
                for subject in ("$SRV.PING", "$SRV.INFO", "cb.shop.to.liar", "cb.shop.do.liar"):
                    await stream.send(f"PUB {subject} {address} 2\r\n{{}}\r\n".encode())
        await stream.send(b"PING\r\n")
        heard = b""
        with anyio.fail_after(10):
            while not heard.endswith(b"PONG\r\n"):
                heard += await stream.receive()
    assert daemon.run("tell", "liar", '{"type": "Note", "text": "x"}').returncode == 0
    daemon.wait(lambda: (daemon.folder / "stolen").exists(), "the liar to have come to all of it")
    assert not told(daemon, "refused-by-server")
    assert daemon.kinds("liar").count("cell-started") == 1


async def test_a_guest_cannot_have_the_servers_answer_stored_in_a_lane(daemon: Daemon) -> None:
    """Whoever keeps the door answers, and never at an address inside the fleet."""
    guest = await nats.connect(daemon.where()["url"], user_credentials=daemon.guest, allow_reconnect=False)
    try:
        task = b'{"type": "Note", "text": "x"}'
        await guest.publish("cb.shop.do.liar", task, reply="cb.shop.do.clerk.normal.0.liar")
        assert json.loads((await guest.request("cb.shop.do.liar", task, timeout=5)).data)["type"] == "Stored"
    except Error as error:
        pytest.fail(f"the door is shut: {error!r}")
    finally:
        await guest.close()
    daemon.wait(lambda: (daemon.folder / "stolen").exists(), "the liar to do its tasks")
    assert daemon.json("dead", "ls") == []
    assert daemon.json("inspect", "clerk")["queued"] == 0


def test_no_secret_lies_anywhere_but_in_three_private_files(daemon: Daemon, stolen: Credentials) -> None:
    (daemon.folder / "stolen").unlink()
    state = daemon.folder / ".callboard" / "shop"
    private = {state / "daemon.json", state / "guest.creds", state / "nats" / "logins.json"}
    found = {file for file in daemon.folder.rglob("*") if file.is_file() and SEED.search(file.read_bytes())}
    assert found == private
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}
    for pid in daemon.processes():
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not SEED.search(text), f"{name} of {pid}"
            assert stolen.jwt.encode() not in text
