"""The model in the box, in a real fleet: typed answers, for what is private, and back after it is killed."""

import json
import os
import signal
from collections.abc import Callable

from tests.supervisor.conftest import Daemon

AGENTS = """
from typing import Literal

from callboard import Actor, Context, Message, receive


class Ask(Message):
    text: str


class Mood(Message):
    mood: Literal["happy", "sad"]


class Reader(Actor):
    @receive
    async def read(self, message: Ask, ctx: Context) -> Mood:
        llm = ctx.llm.using(most=60, timeout=45.0)
        return await llm.ask(Mood, "Is the writer happy or sad? {{text}}", text=message.text)
"""
FLEET = """
[fleet]
name = "shop"

[llm]
local = true

[[actor]]
use = "local_agents:Reader"
private = true
"""


def read(daemon: Daemon, text: str) -> str:
    done = daemon.run("ask", "reader", json.dumps({"type": "Ask", "text": text}), "--timeout", "50", within=55.0)
    assert done.returncode == 0, done.stderr + daemon.text()
    mood: str = json.loads(done.stdout)["mood"]
    return mood


def test_a_private_agent_asks_the_model_in_the_box_which_comes_back_when_it_is_killed(
    make_daemon: Callable[..., Daemon],
) -> None:
    daemon = make_daemon(FLEET)
    (daemon.folder / "local_agents.py").write_text(AGENTS, encoding="utf-8")
    daemon.start()
    assert read(daemon, "I love my new bicycle.") in ("happy", "sad")
    first = daemon.row("local-model")
    os.kill(first["pid"], signal.SIGKILL)
    assert read(daemon, "It rains again.") in ("happy", "sad")
    assert daemon.row("local-model")["pid"] != first["pid"]
    daemon.wait(lambda: bool(daemon.json("cost")["rows"]), "the ledger")
    [row] = daemon.json("cost", "--by", "model")["rows"]
    assert (row["name"], row["cost"]) == ("smollm2", 0)
