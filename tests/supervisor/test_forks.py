"""What an agent forks holds up nobody and outlives nobody."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Daemon

AGENTS = '''
import asyncio
import os
from concurrent.futures import ProcessPoolExecutor

from callboard import Actor, Context, Message, receive


class Add(Message):
    number: int


class Sum(Message):
    number: int
    pid: int
    child: int


def add(number: int) -> tuple[int, int]:
    return number + 1, os.getpid()


class Pool(Actor):
    """Works in a forked process."""

    async def started(self, ctx: Context) -> None:
        self.pool = ProcessPoolExecutor(1)

    @receive
    async def add(self, message: Add, ctx: Context) -> Sum:
        ctx.progress("[bold red]not markup[/] \\x1b]0;owned\\x07")
        number, child = await asyncio.get_running_loop().run_in_executor(self.pool, add, message.number)
        if message.number < 0:
            await asyncio.sleep(30)
        return Sum(number=number, pid=os.getpid(), child=child)
'''

FLEET = '[fleet]\nname = "shop"\n[[actor]]\nuse = "pool_agents:Pool"\n'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Return a running fleet of one actor that forks."""
    (tmp_path / "pool_agents.py").write_text(AGENTS, encoding="utf-8")
    made = Daemon(tmp_path, FLEET).start()
    yield made
    made.end()  # which also sees that no process of the fleet is left


def ask(daemon: Daemon, number: int = 1) -> dict[str, Any]:
    done = daemon.run("ask", "pool", json.dumps({"type": "Add", "number": number}), "--json", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_forked_child_of_a_killed_cell_takes_no_message_and_ends_with_it(daemon: Daemon) -> None:
    first = ask(daemon)
    os.kill(first["pid"], signal.SIGKILL)
    child = Path(f"/proc/{first['child']}")
    daemon.wait(lambda: not child.exists(), "the child of the killed cell to be gone", within=5.0)
    began = time.monotonic()
    for number in range(5):
        assert ask(daemon, number)["number"] == number + 1
    assert time.monotonic() - began < 10.0


def test_a_forked_child_does_not_outlive_a_killed_daemon(daemon: Daemon) -> None:
    child = ask(daemon)["child"]
    daemon.process.kill()
    daemon.process.wait()
    daemon.wait(lambda: not Path(f"/proc/{child}").exists(), "the child to be gone", within=6.0)


def test_what_an_agent_says_of_itself_commands_no_terminal(daemon: Daemon) -> None:
    daemon.run("tell", "pool", json.dumps({"type": "Add", "number": -1}))
    daemon.wait(lambda: bool(daemon.row("pool")["in_hand"]), "the message to be in hand")
    for words in (daemon.run("ps"), daemon.run("health", "pool")):
        assert words.returncode == 0, words.stderr
        assert "\x1b]0;" not in words.stdout
        assert "\x07" not in words.stdout
    assert "[bold red]" in daemon.run("health", "pool").stdout


def test_a_state_folder_that_cannot_be_written_ends_no_daemon(daemon: Daemon) -> None:
    first = ask(daemon)["pid"]
    (daemon.folder / ".callboard" / "shop" / "flight" / "pool.autopsy.json.new").mkdir()
    os.kill(first, signal.SIGKILL)
    assert ask(daemon)["pid"] != first
    assert "autopsy-not-kept" in daemon.kinds("pool")


def test_the_reason_why_a_cell_cannot_start_is_in_its_event(daemon: Daemon) -> None:
    first = ask(daemon)["pid"]
    (daemon.folder / "pool_agents.py").write_text("import no_such_module\n", encoding="utf-8")
    os.kill(first, signal.SIGKILL)
    reason = "No module named 'no_such_module'"
    daemon.wait(lambda: reason in daemon.run("events", "--of", "pool").stdout, "the reason to be told")
