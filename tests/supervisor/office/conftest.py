"""A real daemon whose agents ask a scripted model that lives in this process, in a thread of its own."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from callboard.testing import ScriptedModel
from tests.supervisor.conftest import Daemon, make_daemon

__all__ = ["make_daemon"]

AGENTS = """
from callboard import Actor, Context, Message, receive


class Ask(Message):
    what: str
    timeout: float = 20.0


class Text(Message):
    text: str


class Writer(Actor):
    concurrency = 256

    @receive
    async def write(self, message: Ask, ctx: Context) -> Text:
        llm = ctx.llm.using(most=1000, cache=message.what == "cached", timeout=message.timeout)
        return Text(text=await llm.text("Write of {{what}}", what=message.what))


class Clerk(Actor):
    @receive
    async def write(self, message: Ask, ctx: Context) -> None:
        llm = ctx.llm.using(most=1000, step="text", timeout=message.timeout)
        text = await llm.text("Write of {{what}}", what=message.what)
        await ctx.memory.put("text", text)
        await ctx.memory.incr("done")
"""
KEY = "sk-a-secret-that-nobody-may-see-0123456789"
FLEET = """
[fleet]
name = "shop"

[llm]
url = "{url}"
model = "scripted"
key_file = "model.key"
[llm.price]
input = 1.0
output = 2.0

[[actor]]
use = "mind_agents:Writer"

[[actor]]
use = "mind_agents:Clerk"

{more}
"""


class Remote:
    """A scripted model, spoken to from a thread without a loop."""

    def __init__(self, model: ScriptedModel, portal: BlockingPortal) -> None:
        self.model, self._portal = model, portal
        self.url = model.url

    @property
    def asked(self) -> int:
        """How many requests came."""
        return len(self.model.requests)

    def say(self, text: str, *, after: float, times: int) -> None:
        """Answer the next requests with a text, each after so many seconds."""
        for _ in range(times):
            self._portal.call(partial(self.model.say, text, after=after))

    def leave(self) -> None:
        """Go away."""
        self._portal.call(self.model.leave)

    def come_back(self) -> None:
        """Be there again."""
        self._portal.call(self.model.come_back)


@pytest.fixture
def remote() -> Iterator[Remote]:
    """Return a scripted model that answers ``well``."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(ScriptedModel()) as model:
        model.answer = lambda _body: "well"
        yield Remote(model, portal)


@pytest.fixture
def make_fleet(make_daemon: Callable[..., Daemon], remote: Remote) -> Callable[..., Daemon]:
    """Return a maker of daemons with a writer and a clerk; it takes more tables of the fleet file."""

    def make(more: str = "", *, key: str = KEY) -> Daemon:
        daemon = make_daemon(FLEET.format(url=remote.url, more=more))
        (daemon.folder / "mind_agents.py").write_text(AGENTS, encoding="utf-8")
        _write_key(daemon.folder / "model.key", key)
        return daemon

    return make


def _write_key(path: Path, key: str) -> None:
    path.touch(mode=0o600)
    path.write_text(key, encoding="utf-8")
