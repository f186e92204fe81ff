"""A real daemon, in a process of its own, over a fleet file made for the test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

AGENTS = '''
import os
import time

import anyio

from callboard import Actor, Context, Message, Untrusted, receive


class Question(Message):
    text: Untrusted[str]
    wait: float = 0.0


class Answer(Message):
    text: str
    pid: int


class Note(Message):
    text: str


class Desk(Actor):
    """Answer in capitals."""

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        await ctx.memory.incr("asked")
        await anyio.sleep(message.wait)
        if message.text == "boom":
            raise ValueError("boom")
        return Answer(text=message.text.upper(), pid=os.getpid())


class Clerk(Actor):
    """Not open; counts notes and events."""

    async def stopping(self, ctx: Context) -> None:
        print("clerk leaves")

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        await ctx.memory.incr("notes")

    @receive(topic="news")
    async def news(self, message: Note, ctx: Context) -> None:
        await ctx.memory.incr("news")

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        key = message.text
        return Answer(text=str(await ctx.memory.get(key, int, default=0)), pid=os.getpid())


class Blocked(Actor):
    """Blocks its whole process at each start, once there is a file that says so."""

    def __init__(self) -> None:
        if os.path.exists(os.path.join(os.path.dirname(__file__), "block")):
            time.sleep(60.0)

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        pass


class Broken(Actor):
    """Never starts."""

    def __init__(self) -> None:
        raise RuntimeError("cannot be made")

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        pass
'''

FLEET = """
[fleet]
name = "shop"

[[actor]]
use = "shop_agents:Desk"
open = true
[actor.health]
drain_for = 3.0

[[actor]]
use = "shop_agents:Clerk"
"""


class Daemon:
    """``callboard up`` as a child process, and the other commands against it."""

    def __init__(self, folder: Path, fleet: str) -> None:
        self.folder = folder
        (folder / "shop_agents.py").write_text(AGENTS, encoding="utf-8")
        self.file = folder / "fleet.toml"
        self.file.write_text(fleet, encoding="utf-8")
        self.log = folder / "up.log"
        self.inside: list[str] = []
        """What the command line of ``up`` begins with: where it runs."""
        self.process: subprocess.Popen[bytes]

    def start(self, *options: str) -> "Daemon":
        """Run ``callboard up`` and wait until it is ready."""
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*self.inside, sys.executable, "-m", "callboard.supervisor.cli", "up", str(self.file), *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self.wait(lambda: "ready:" in self.text() or self.process.poll() is not None, "the daemon to be ready")
        assert self.process.poll() is None, self.text()
        return self

    def text(self) -> str:
        """Return what the daemon has printed."""
        return self.log.read_text(encoding="utf-8")

    def run(self, *words: str, within: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run another command in the fleet's folder."""
        command = [sys.executable, "-m", "callboard.supervisor.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=within, cwd=self.folder, check=False)

    def json(self, *words: str) -> Any:
        """Run a reading command with ``--json`` and return what it printed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def row(self, actor: str) -> dict[str, Any]:
        """Return the ``ps`` row of an actor."""
        found: dict[str, Any] = {row["actor"]: row for row in self.json("ps")}[actor]
        return found

    def kinds(self, subject: str) -> list[str]:
        """Return the kinds of all events of an actor or cell, oldest first."""
        return [event["kind"] for event in self.json("events", "--of", subject, "--limit", "1000")]

    def where(self) -> dict[str, Any]:
        """Return what ``daemon.json`` says."""
        found: dict[str, Any] = json.loads((self.folder / ".callboard" / "shop" / "daemon.json").read_text())
        return found

    @property
    def guest(self) -> str:
        """Return the file by which outsiders come in."""
        return str(self.folder / ".callboard" / "shop" / "guest.creds")

    def wait(self, holds: Callable[[], bool], what: str, *, within: float = 20.0) -> None:
        """Wait for a condition, with a deadline."""
        end = time.monotonic() + within
        while not holds():
            assert time.monotonic() < end, f"waited {within} s for {what}\n{self.text()}"
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def end(self) -> None:
        """Stop, and see that nothing is left."""
        if hasattr(self, "process"):
            self.stop()
            self.wait(lambda: not self.processes(), "all processes of the fleet to be gone", within=6.0)

    def running(self, program: str) -> list[int]:
        """Return those processes of this fleet whose command line names `program`."""
        commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in self.processes()}
        return [pid for pid, file in commands.items() if file.exists() and program.encode() in file.read_bytes()]

    def processes(self) -> list[int]:
        """Return all living processes that belong to this fleet: by working directory, or by configuration file."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                here = (entry / "cwd").readlink() == self.folder.resolve()
            except OSError:
                continue
            if (here or str(self.folder) in command) and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a maker of daemons that are stopped at the end, and of which nothing may be left."""
    made: list[Daemon] = []

    def make(fleet: str = FLEET) -> Daemon:
        made.append(Daemon(tmp_path, fleet))
        return made[-1]

    yield make
    for daemon in made:
        daemon.end()


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a running daemon of fleet ``shop``: ``desk`` is open, ``clerk`` is not."""
    return make_daemon().start()
