"""Spawned actors in real processes: reached from other cells, mourned when their cell dies, cheap at the server."""

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from .conftest import Daemon

KIDS = 40
AGENTS = f"""
import os

import anyio

from callboard import Actor, Context, Down, Grant, Message, receive


class Question(Message):
    text: str = ""
    wait: float = 0.0


class Answer(Message):
    text: str
    pid: int


class Kid(Actor):
    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        await anyio.sleep(message.wait)
        return Answer(text=message.text, pid=os.getpid())


class Nursery(Actor):
    may = Grant(spawn=("kid",))

    async def started(self, ctx: Context) -> None:
        for number in range({KIDS}):
            await ctx.spawn(Kid, name=f"kid-{{number}}")

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        return Answer(text="all asleep", pid=os.getpid())


class Aunt(Actor):
    may = Grant(ask=tuple(f"kid-{{number}}" for number in range({KIDS})))

    async def started(self, ctx: Context) -> None:
        self.mourned = 0
        ctx.watch("kid-7")

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        if message.text.startswith("kid-"):
            return await ctx.ask(message.text, Question(text="hush"), reply=Answer)
        return Answer(text=str(self.mourned), pid=os.getpid())

    @receive
    async def down(self, message: Down, ctx: Context) -> None:
        self.mourned += message.actor == "kid-7"
"""
FLEET = """
[fleet]
name = "shop"

[[actor]]
use = "nursery_agents:Nursery"

[[actor]]
use = "nursery_agents:Aunt"
"""


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Return a running daemon with a nursery in one cell, and an aunt in another."""
    made = make_daemon(FLEET)
    (made.folder / "nursery_agents.py").write_text(AGENTS, encoding="utf-8")
    return made.start()


def ask(daemon: Daemon, actor: str, text: str = "", *, wait: float = 0.0) -> "CompletedProcess[str]":
    return daemon.run("ask", actor, json.dumps({"type": "Question", "text": text, "wait": wait}), "--json")


def interests(daemon: Daemon) -> list[str]:
    """Return the subjects to which the server's connections listen."""
    with urllib.request.urlopen(f"{daemon.where()['monitor']}/connz?subs=1", timeout=5) as page:  # noqa: S310 - our own server
        return [subject for each in json.load(page)["connections"] for subject in each.get("subscriptions_list", [])]


def test_a_spawned_actor_is_reached_from_other_cells_and_costs_the_server_nothing(daemon: Daemon) -> None:
    assert json.loads(ask(daemon, "kid-3", "hush").stdout)["text"] == "hush"
    assert json.loads(ask(daemon, "aunt", "kid-5").stdout)["text"] == "hush"
    found = interests(daemon)
    assert "cb.shop.in.nursery.*.*" in found
    assert not [subject for subject in found if "kid" in subject]


def test_who_waits_for_a_spawned_actor_whose_cell_is_killed_hears_so_and_its_next_life_answers(daemon: Daemon) -> None:
    assert ask(daemon, "aunt").returncode == 0, "it watches from now on"
    done: list[CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(ask(daemon, "kid-7", wait=60.0)))
    thread.start()
    daemon.wait(lambda: daemon.row("kid-7")["in_hand"] == ["Question"], "the question to be in hand")
    before = daemon.row("nursery")["pid"]
    os.kill(before, signal.SIGKILL)
    thread.join(timeout=20)
    assert done[0].returncode == 6
    assert "actor-died" in done[0].stderr
    daemon.wait(lambda: ask(daemon, "kid-7", "again").returncode == 0, "the next life of the child")
    assert json.loads(ask(daemon, "kid-7").stdout)["pid"] != before
    assert json.loads(ask(daemon, "aunt").stdout)["text"] == "1"


def test_after_the_server_was_killed_spawned_actors_are_still_found(daemon: Daemon) -> None:
    assert ask(daemon, "aunt", "kid-1").returncode == 0
    os.kill(daemon.running("nats-server")[0], signal.SIGKILL)
    daemon.wait(lambda: ask(daemon, "aunt", "kid-1").returncode == 0, "the child to be reached again")
    assert json.loads(ask(daemon, "aunt", "kid-2").stdout)["text"] == "hush"
