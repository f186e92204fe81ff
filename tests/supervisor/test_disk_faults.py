"""Disks that refuse: what was acknowledged is done, once, when they take again; and nobody has to restart anything."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from callboard.supervisor.cli.exits import Exit

from .conftest import Daemon
from .small_disk import SmallDisk

AGENTS = """
from callboard import Actor, Context, Message, receive


class Job(Message):
    number: int
    load: str = ""


class Desk(Actor):
    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        await ctx.memory.incr("done")
"""
FLEET = """
[fleet]
name = "shop"

[[actor]]
use = "disk_agents:Desk"
open = true
"""
LOAD = "x" * 60_000
COUNT = """
import sqlite3, sys
print(sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT count(*) FROM inbox").fetchone()[0])
"""


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a daemon of one desk that is not running yet."""
    made = make_daemon(FLEET)
    (made.folder / "disk_agents.py").write_text(AGENTS, encoding="utf-8")
    return made


def state(daemon: Daemon) -> Path:
    return daemon.folder / ".callboard" / "shop"


def enqueue(daemon: Daemon, number: int, load: str = "") -> int:
    words = json.dumps({"type": "Job", "number": number, "load": load})
    return daemon.run("enqueue", "desk", words, "--id", f"job-{number}").returncode


def done(daemon: Daemon) -> int:
    """Return how many jobs the desk's file has as done; it may lie where only the daemon sees it."""
    command = [*daemon.inside, sys.executable, "-c", COUNT, str(state(daemon) / "actors" / "desk.db")]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.chaos
def test_a_full_disk_under_the_server_loses_nothing_and_is_left_behind(daemon: Daemon) -> None:
    """The server refuses to store until it is started anew: that is done for it, again and again until it helps."""
    with SmallDisk.mounted(state(daemon) / "nats" / "jetstream", "2m") as disk:
        daemon.inside = disk.inside
        daemon.start()
        daemon.run("hold", "desk")
        count = 0
        while (code := enqueue(daemon, count, LOAD)) == Exit.DONE:
            count += 1
        assert code == Exit.NO_ANSWER
        assert count > 5
        daemon.wait(lambda: "server-frozen" in daemon.kinds("nats"), "the daemon to see it")
        assert enqueue(daemon, count, LOAD) == Exit.NO_ANSWER, "it is still full, also for a new server"
        disk.remount("size=64m")
        daemon.wait(lambda: enqueue(daemon, count, LOAD) == Exit.DONE, "the server to store again", within=30.0)
        daemon.run("revive", "desk")
        daemon.wait(lambda: done(daemon) == count + 1, "all that was acknowledged to be done")
        assert daemon.stop() == 0


@pytest.mark.chaos
def test_a_file_that_may_not_be_written_holds_its_actor_s_tasks_until_it_may(daemon: Daemon) -> None:
    with SmallDisk.mounted(state(daemon) / "actors", "8m") as disk:
        daemon.inside = disk.inside
        daemon.start()
        assert enqueue(daemon, 0) == Exit.DONE
        daemon.wait(lambda: done(daemon) == 1, "the first to be done")
        assert daemon.stop() == 0
        disk.remount("ro")
        daemon.start()
        daemon.wait(lambda: "tasks-wait" in daemon.kinds("desk"), "the desk to say why it does nothing")
        assert enqueue(daemon, 1) == Exit.DONE, "its queue is on another disk"
        disk.remount("rw")
        daemon.wait(lambda: done(daemon) == 2, "both to be done")
        assert daemon.stop() == 0
