"""Durable work with real processes, a real server and real files: kept through every death, and done once."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import NoRespondersError

from callboard.supervisor.cli.exits import Exit

from .conftest import Daemon

AGENTS = '''
import os
import signal

import anyio

from callboard import Actor, Context, Grant, Message, receive


class Job(Message):
    number: int = 0
    what: str = ""


def call(what):
    """Note an effect outside, in a file that survives everything."""
    with open(os.path.join(os.path.dirname(__file__), "calls"), "a") as file:
        file.write(what + "\\n")


async def pay(number: int) -> str:
    call(f"paid {number}")
    return f"answer {number}"


class Desk(Actor):
    may = Grant(enqueue=("clerk",))

    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        answer = await ctx.step("pay", pay, message.number)
        await ctx.memory.incr("done")
        await ctx.enqueue("clerk", message)
        if message.what == "die" and ctx.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if message.what == "abort":
            os.abort()
        if message.what == "wait":
            while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
                ctx.progress("waiting for go")
                await anyio.sleep(0.02)
        if message.what == "fail":
            raise ValueError("no luck")
        call(f"done {message.number}")


class News(Message):
    text: str


class Clerk(Actor):
    @receive(topic="news", durable=True)
    async def news(self, message: News, ctx: Context) -> None:
        await ctx.memory.incr("news")
        call(f"read {message.text}")

    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        await ctx.memory.incr("seen")
'''
FLEET = """
[fleet]
name = "shop"

[[actor]]
use = "durable_agents:Desk"
open = true
tries = 3

[[actor]]
use = "durable_agents:Clerk"
"""


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a running daemon of a desk, which is open, and a clerk."""
    made = make_daemon(FLEET)
    (made.folder / "durable_agents.py").write_text(AGENTS, encoding="utf-8")
    return made.start()


def enqueue(daemon: Daemon, number: int, what: str = "", *options: str) -> "subprocess.CompletedProcess[str]":
    return daemon.run("enqueue", "desk", json.dumps({"type": "Job", "number": number, "what": what}), *options)


def calls(daemon: Daemon) -> list[str]:
    file = daemon.folder / "calls"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def counted(daemon: Daemon, actor: str, key: str) -> int:
    """Return a counter of an actor's memory; its file must be nobody's."""
    path = daemon.folder / ".callboard" / "shop" / "actors" / f"{actor}.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        row = conn.execute("SELECT value FROM memory WHERE key = ?", (key,)).fetchone()
    return int.from_bytes(row[0][-1:], "big") if row else 0


def dead(daemon: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.json("dead", "ls")
    return found


def test_a_task_is_done_and_what_it_says_too(daemon: Daemon) -> None:
    done = enqueue(daemon, 1, "", "--id", "job-1")
    assert (done.returncode, done.stdout.strip()) == (0, "job-1")
    daemon.wait(lambda: calls(daemon) == ["paid 1", "done 1"], "the task")
    daemon.wait(lambda: daemon.row("clerk")["handled"] == 1, "what it said")
    assert enqueue(daemon, 1, "", "--id", "job-1").returncode == 0
    daemon.stop()
    assert calls(daemon) == ["paid 1", "done 1"]
    assert counted(daemon, "desk", "done") == 1
    assert counted(daemon, "clerk", "seen") == 1


def test_a_cell_that_is_killed_in_the_middle_does_the_task_again_at_once_without_its_steps(daemon: Daemon) -> None:
    enqueue(daemon, 1, "die")
    began = time.monotonic()
    daemon.wait(lambda: calls(daemon) == ["paid 1", "done 1"], "the second try")
    assert time.monotonic() - began < 5, "not only when the queue gives it up"
    daemon.wait(lambda: daemon.row("clerk")["handled"] == 1, "what it said")
    daemon.stop()
    assert counted(daemon, "desk", "done") == 1


def test_a_killed_daemon_and_server_lose_nothing(daemon: Daemon) -> None:
    enqueue(daemon, 1, "wait")
    for number in range(2, 6):
        assert enqueue(daemon, number).returncode == 0
    daemon.wait(lambda: "paid 1" in calls(daemon), "the first to begin")
    daemon.process.kill()
    daemon.process.wait()
    daemon.wait(lambda: not daemon.processes(), "all to be gone", within=6.0)
    (daemon.folder / "go").touch()
    daemon.start()
    daemon.wait(lambda: sum(call.startswith("done") for call in calls(daemon)) == 5, "all five")
    daemon.wait(lambda: daemon.row("clerk")["handled"] == 5, "what they said")
    daemon.stop()
    assert sorted(calls(daemon)) == sorted([f"{what} {number}" for number in range(1, 6) for what in ("paid", "done")])
    assert counted(daemon, "desk", "done") == counted(daemon, "clerk", "seen") == 5


def test_a_killed_server_loses_nothing_and_the_work_goes_on(daemon: Daemon) -> None:
    enqueue(daemon, 1, "wait")
    daemon.wait(lambda: "paid 1" in calls(daemon), "the first to begin")
    os.kill(daemon.running("nats-server")[0], signal.SIGKILL)
    (daemon.folder / "go").touch()
    daemon.wait(lambda: "done 1" in calls(daemon), "the first to end")
    daemon.wait(lambda: enqueue(daemon, 2).returncode == 0, "the next to be stored")
    daemon.wait(lambda: "done 2" in calls(daemon), "the next")
    daemon.stop()
    assert counted(daemon, "desk", "done") == 2
    assert calls(daemon).count("paid 1") == 1


def test_what_fails_its_tries_is_shown_whole_and_retried_by_hand(daemon: Daemon) -> None:
    enqueue(daemon, 7, "fail", "--id", "job-7")
    daemon.wait(lambda: len(dead(daemon)) == 1, "the quarantine")
    [row] = dead(daemon)
    assert (row["id"], row["reason"], row["tries"]) == ("job-7", "handler-failed", 3)
    shown = daemon.run("dead", "show", "job-7").stdout
    assert '"number": 7' in shown
    assert shown.count("ValueError: no luck") >= 3
    assert "durable_agents.py" in shown
    assert daemon.run("dead", "retry", "nothing").returncode == Exit.USAGE
    assert daemon.run("dead", "retry", "job-7").returncode == 0
    daemon.wait(lambda: len(dead(daemon)) == 1, "the quarantine again")
    assert daemon.run("dead", "drop", "job-7").returncode == 0
    assert dead(daemon) == []
    assert calls(daemon).count("paid 7") == 2, "its steps were forgotten with it, and taken again once"


def test_a_task_that_kills_its_process_ends_in_quarantine_and_others_are_done(daemon: Daemon) -> None:
    enqueue(daemon, 1, "abort")
    enqueue(daemon, 2)
    daemon.wait(lambda: "done 2" in calls(daemon), "the other one")
    daemon.wait(lambda: any(row["what"] == "task" for row in dead(daemon)), "the quarantine", within=40.0)
    daemon.wait(lambda: daemon.row("desk")["state"] == "running", "the actor to live on")


def test_what_has_not_begun_waits_for_the_next_life_of_the_fleet(daemon: Daemon) -> None:
    enqueue(daemon, 1, "wait")
    for number in range(2, 8):
        enqueue(daemon, number)
    daemon.wait(lambda: "paid 1" in calls(daemon), "the first to begin")
    daemon.process.send_signal(signal.SIGTERM)
    (daemon.folder / "go").touch()
    assert daemon.process.wait(timeout=30) == 0
    daemon.start()
    daemon.wait(lambda: sum(call.startswith("done") for call in calls(daemon)) == 7, "all")
    daemon.stop()
    assert counted(daemon, "desk", "done") == 7


async def test_a_guest_brings_a_task_in_json_and_hears_that_it_is_stored_or_why_not(daemon: Daemon) -> None:
    at = daemon.where()
    guest = await nats.connect(at["url"], user_credentials=daemon.guest)
    try:
        stored = await guest.request("cb.shop.do.desk", b'{"type": "Job", "number": 9}', timeout=5)
        assert json.loads(stored.data) == {"type": "Stored", "actor": "desk"}
        daemon.wait(lambda: "done 9" in calls(daemon), "the task")
        for body, path in ((b'{"type": "Job", "number": "nine"}', "$.number"), (b'{"type": "Job", ', "$")):
            bad = json.loads((await guest.request("cb.shop.do.desk", body, timeout=5)).data)
            assert (bad["code"], bad["detail"]["path"]) == ("message-refused", path)
        assert dead(daemon) == []
        with pytest.raises(NoRespondersError):
            await guest.request("cb.shop.do.clerk", b'{"type": "Job"}', timeout=5)
    finally:
        await guest.close()


def test_a_question_that_does_not_fit_is_refused_and_its_copy_shown_whole(daemon: Daemon) -> None:
    refused = daemon.run("ask", "desk", '{"type": "Job", "number": "nine"}')
    assert refused.returncode == Exit.FAILED
    daemon.wait(lambda: [row["path"] for row in dead(daemon)] == ["$.number"], "the copy")
    [row] = dead(daemon)
    assert (row["reason"], row["kind"]) == ("message-refused", "Job")
    assert '"nine"' in daemon.run("dead", "show", row["id"]).stdout


def test_an_event_of_a_durable_topic_waits_for_its_actor(daemon: Daemon) -> None:
    os.kill(daemon.row("clerk")["pid"], signal.SIGSTOP)
    assert daemon.run("publish", "news", '{"type": "News", "text": "one"}').returncode == 0
    daemon.process.kill()
    daemon.process.wait()
    daemon.wait(lambda: not daemon.processes(), "all to be gone", within=6.0)
    daemon.start()
    assert daemon.run("publish", "news", '{"type": "News", "text": "two"}').returncode == 0
    daemon.wait(lambda: sorted(calls(daemon)) == ["read one", "read two"], "both events")
    daemon.stop()
    assert counted(daemon, "clerk", "news") == 2


def test_an_event_whose_handler_is_gone_after_a_restart_goes_to_the_quarantine(daemon: Daemon) -> None:
    assert daemon.run("hold", "clerk").returncode == 0
    assert daemon.run("publish", "news", '{"type": "News", "text": "one"}').returncode == 0
    assert daemon.stop() == 0
    agents = AGENTS.replace('topic="news", durable=True', 'topic="news"')
    (daemon.folder / "durable_agents.py").write_text(agents, encoding="utf-8")
    daemon.start()
    daemon.wait(lambda: len(dead(daemon)) == 1, "the quarantine")
    [row] = dead(daemon)
    assert (row["actor"], row["kind"], row["reason"]) == ("clerk", "News", "topic-left")
    assert '"one"' in daemon.run("dead", "show", row["id"]).stdout
    daemon.wait(lambda: "events-unwanted" in daemon.kinds("clerk"), "it to be said")


def test_an_unknown_actor_and_bad_arguments_are_refused(daemon: Daemon) -> None:
    assert daemon.run("enqueue", "nobody", '{"type": "Job"}').returncode == Exit.FAILED
    assert "no actor named 'nobody'" in daemon.run("enqueue", "nobody", '{"type": "Job"}').stderr
    assert enqueue(daemon, 1, "", "--id", "a b").returncode == Exit.FAILED
    assert enqueue(daemon, 1, "", "--priority", "urgent").returncode == Exit.USAGE


def test_the_store_of_an_actor_is_private(daemon: Daemon) -> None:
    assert not [path for path in (Path(daemon.folder) / ".callboard").rglob("*.db") if path.stat().st_mode & 0o077]
