"""Agents that go quiet without dying: found, with evidence, ended and started again; and what they held is answered."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from callboard.supervisor.cli.exits import Exit

from .conftest import Daemon

AGENTS = '''
import ctypes
import os
import signal
import time

import anyio

from callboard import Actor, Context, Message, Untrusted, receive


class Do(Message):
    what: Untrusted[str] = ""
    seconds: float = 0.0


class Done(Message):
    pid: int


def blocks(seconds: float) -> None:
    time.sleep(seconds)


class Odd(Actor):
    """Does what it is told, however bad."""

    def __init__(self) -> None:
        self.kept = []

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.what == "block":
            blocks(message.seconds)
        elif message.what == "spin":
            sum(range(10 ** 12))
        elif message.what == "segfault":
            ctypes.string_at(0)
        elif message.what == "exit":
            os._exit(3)
        elif message.what == "deaf":
            with anyio.CancelScope(shield=True):
                await anyio.sleep(60)
        elif message.what == "hang":
            await anyio.sleep(60)
        elif message.what == "wait":
            with ctx.waiting("a model", up_to=60.0):
                await anyio.sleep(message.seconds)
        elif message.what == "grow":
            self.kept.append(b"x" * (200 << 20))
        return Done(pid=os.getpid())


class Quiet(Actor):
    """The neighbour, in a cell of its own."""

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        return Done(pid=os.getpid())
'''

FLEET = """
[fleet]
name = "shop"

[[actor]]
use = "odd_agents:Odd"
open = true
[actor.health]
silent_after = 1.0
stalled_after = 2.0
memory_mib = 300

[[actor]]
use = "odd_agents:Quiet"
"""

SERVED = 15.0


class Fleet(Daemon):
    """The daemon, with words for what these tests do."""

    def ask(self, what: str = "", *, seconds: float = 0.0, actor: str = "odd", within: float = SERVED) -> Any:
        """Ask an actor to do something; return the finished command."""
        message = json.dumps({"type": "Do", "what": what, "seconds": seconds})
        return self.run("ask", actor, message, "--timeout", str(within), "--json")

    def pid(self, actor: str = "odd") -> int:
        """Return the process of an actor that answers."""
        done = self.ask(actor=actor)
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["pid"])

    def tell(self, what: str, *, seconds: float = 0.0) -> None:
        """Tell the odd one what to do."""
        done = self.run("tell", "odd", json.dumps({"type": "Do", "what": what, "seconds": seconds}))
        assert done.returncode == 0, done.stderr

    @contextmanager
    def asking(self, what: str, *, seconds: float = 0.0) -> Generator["subprocess.Popen[str]"]:
        """Ask in a process of its own, and go on once the message is in hand."""
        message = json.dumps({"type": "Do", "what": what, "seconds": seconds})
        command = [sys.executable, "-m", "callboard.supervisor.cli", "ask", "odd", message, "--timeout", "30", "--json"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        ) as process:
            yield process

    def events(self, kind: str, subject: str = "odd") -> list[dict[str, Any]]:
        """Return the events of one kind."""
        found: list[dict[str, Any]] = self.json("events", "--of", subject, "--kind", kind, "--limit", "1000")
        return found

    def wait_event(self, kind: str, *, count: int = 1, subject: str = "odd") -> dict[str, Any]:
        """Wait for an event and return it."""
        self.wait(lambda: len(self.events(kind, subject)) >= count, f"{count} {kind}")
        return self.events(kind, subject)[count - 1]


@pytest.fixture
def fleet(tmp_path: Any) -> Iterator[Fleet]:
    """Return a running fleet of an odd actor and a quiet one."""
    (tmp_path / "odd_agents.py").write_text(AGENTS, encoding="utf-8")
    daemon = Fleet(tmp_path, FLEET)
    daemon.start()
    yield daemon
    daemon.end()


pytestmark = pytest.mark.chaos


def test_a_blocked_loop_is_named_by_file_and_line_and_served_again_in_time(fleet: Fleet) -> None:
    first, neighbour = fleet.pid(), fleet.pid("quiet")
    began = time.monotonic()
    done = fleet.ask("block", seconds=60.0)
    told = time.monotonic() - began
    assert done.returncode == Exit.FAILED
    assert "odd died with this message in hand: silent: its loop has not turned for" in done.stderr
    assert told < 1.0 + 1.0 + 1.0  # silent_after, the promise, and a command's own start
    assert fleet.pid() != first
    event = fleet.wait_event("cell-exited")
    assert event["detail"]["verdict"] == "silent"
    assert "asleep" in event["text"]
    assert event["detail"]["place"].endswith("odd_agents.py:22 in blocks")
    assert "in Odd.do" in event["detail"]["stack"] or "in do" in event["detail"]["stack"]
    assert fleet.pid("quiet") == neighbour


def test_a_loop_that_spins_in_c_is_found_too(fleet: Fleet) -> None:
    first = fleet.pid()
    assert fleet.ask("spin").returncode == Exit.FAILED
    assert fleet.pid() != first
    event = fleet.wait_event("cell-exited")
    assert "of processor used meanwhile" in event["text"]
    assert event["detail"]["place"].endswith(" in do")


def test_a_stopped_process_is_seen_to_be_stopped(fleet: Fleet) -> None:
    first = fleet.pid()
    os.kill(first, signal.SIGSTOP)
    unread = fleet.ask()  # it lies in the socket of a process that will never read it
    assert "odd died while it held this question" in unread.stderr
    assert fleet.pid() != first
    assert "stopped by a signal" in fleet.wait_event("cell-exited")["text"]
    assert not os.path.exists(f"/proc/{first}")  # noqa: PTH110 - one look


def test_a_handler_that_hangs_is_stopped_and_its_cell_lives_on(fleet: Fleet) -> None:
    first = fleet.pid()
    done = fleet.ask("hang")
    assert done.returncode == Exit.FAILED
    assert "odd was stopped: no progress for 2" in done.stderr
    event = fleet.wait_event("handler-stalled")
    assert "no progress for 2" in event["text"]
    assert "odd_agents.py" in event["text"]
    assert "in Odd.do" in event["detail"]["stack"]
    assert fleet.pid() == first


def test_a_declared_wait_is_left_alone(fleet: Fleet) -> None:
    first = fleet.pid()
    assert json.loads(fleet.ask("wait", seconds=3.5).stdout)["pid"] == first
    assert not fleet.events("handler-stalled")


def test_a_handler_that_ignores_its_cancellation_costs_its_cell_the_process(fleet: Fleet) -> None:
    first = fleet.pid()
    done = fleet.ask("deaf")
    assert done.returncode == Exit.FAILED
    assert "goes on with Do though it was stopped" in done.stderr
    assert fleet.pid() != first
    event = fleet.wait_event("cell-exited")
    assert event["detail"]["verdict"] == "stalled"
    assert "odd_agents.py" in event["detail"]["place"]


def test_a_process_that_grows_beyond_its_line_is_drained_and_started_again(fleet: Fleet) -> None:
    first = fleet.pid()
    fleet.tell("grow")
    fleet.tell("grow")
    event = fleet.wait_event("cell-exited")
    assert event["detail"]["verdict"] == "bloated"
    assert "MiB of memory, and may use 300" in event["text"]
    assert fleet.pid() != first


@pytest.mark.parametrize("what", ["segfault", "exit"])
def test_what_a_crash_leaves_is_answered_named_and_shown(fleet: Fleet, what: str) -> None:
    fleet.tell("wait", seconds=4.0)  # the rest waits behind it
    with fleet.asking(what) as asked:
        fleet.wait(lambda: fleet.row("odd")["depth"] == 1, "the question that kills to wait")
        with fleet.asking("") as behind:
            fleet.tell("a tell that will be lost")
            fleet.wait(lambda: fleet.row("odd")["depth"] == 3, "all three to wait")
            _, waited = behind.communicate(timeout=SERVED)
        _, crashed = asked.communicate(timeout=SERVED)
    assert "odd died with this message in hand" in crashed
    assert "odd died before it came to this message" in waited
    event = fleet.wait_event("cell-exited")
    assert event["detail"]["answered"] == 2
    assert event["detail"]["lost"] == 1
    found = fleet.json("autopsy", "odd")
    [hand] = [item for item in found["items"] if item["status"] == "in hand"]
    [lost] = [item for item in found["items"] if item["kind"] == "tell"]
    assert json.loads(hand["body"])["what"] == what
    assert "a tell that will be lost" in lost["body"]
    assert lost["id"] in event["detail"]["lost_ids"]
    words = fleet.run("autopsy", "odd").stdout
    assert "in hand" in words
    assert lost["id"] in words


def test_a_message_that_kills_three_times_is_quarantined_and_the_actor_lives_on(fleet: Fleet) -> None:
    for count in range(1, 4):
        done = fleet.ask("exit")
        assert "died with this message in hand" in done.stderr
        fleet.wait_event("cell-exited", count=count)
        fleet.pid()
    refused = fleet.ask("exit")
    assert refused.returncode == Exit.FAILED
    assert "is in quarantine" in refused.stderr
    assert fleet.pid()
    [row] = fleet.json("dead", "ls")
    assert (row["actor"], row["kind"], len(row["history"])) == ("odd", "Do", 3)
    assert json.loads(row["body"])["what"] == "exit"
    assert "exit code 3" in fleet.run("dead", "show", row["id"][:12]).stdout
    assert fleet.run("dead", "drop", row["id"][:12]).returncode == 0
    assert "died with this message in hand" in fleet.ask("exit").stderr


def test_health_tells_the_story_in_words(fleet: Fleet) -> None:
    fleet.ask("block", seconds=60.0)
    fleet.pid()
    fleet.wait_event("cell-recovered")
    words = fleet.run("health", "odd").stdout
    assert "odd is running: cell odd, process" in words
    assert "silent after 1 s, stalled after 2 s, 300 MiB" in words
    assert "1 of 5 deaths count now" in words
    assert "odd_agents.py:22 in blocks" in words
    assert "serves again: odd has handled a message" in words


def test_who_waits_long_is_told_where_the_question_is(fleet: Fleet) -> None:
    with fleet.asking("wait", seconds=5.0) as first:
        fleet.wait(lambda: fleet.row("odd")["state"] == "waiting", "the first question to be in hand")
        with fleet.asking("") as second:
            _, said_second = second.communicate(timeout=SERVED)
        _, said_first = first.communicate(timeout=SERVED)
    assert "odd has it in hand for 2 s, waiting on a model" in said_first
    assert "it waits at odd, behind 0 others" in said_second
    assert first.returncode == second.returncode == 0
