"""Who plays in a test of endpoints: one that speaks, an actor played by hand, and a daemon that knows where it is."""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from callboard.bus import (
    Answer,
    Bus,
    Endpoint,
    Exchange,
    Kind,
    NoticeBody,
)
from callboard.clock import SystemClock
from callboard.errors import CallboardError

from .ear import WITHIN
from .raw_actor import RawActor, said

SOON = 0.5
"""Seconds within which what is known at once must be told."""


class Stage:
    """A cell that speaks, an actor that is played by hand, and a daemon that knows where actors are."""

    def __init__(self, fleet: str, speaker: Endpoint, daemon: Endpoint, actor: RawActor) -> None:
        self.fleet, self.speaker, self.daemon, self.actor = fleet, speaker, daemon, actor
        self.whereabouts: dict[str, str] = {}
        self.asked: list[str] = []

    def where(self, actor: str) -> str:
        """Answer for the daemon."""
        self.asked.append(actor)
        return self.whereabouts.get(actor, "unknown")

    async def ask(self, name: str = "worker", *, timeout: float = WITHIN, body: object = None) -> Answer:
        """Ask as a cell does."""
        question = said(Kind.ASK, body, reply=self.speaker.inbox)
        return await self.speaker.ask(name, question, timeout=timeout)

    async def tell(self, body: object = None, *, name: str = "worker", timeout: float = WITHIN) -> None:
        """Tell as a cell does."""
        await self.speaker.tell(name, said(Kind.TELL, body, reply=self.speaker.inbox), timeout=timeout)

    async def down(self, what: str = "down") -> None:
        """Say that the actor died, and wait until the speaker has heard it."""
        heard = anyio.Event()
        self.speaker.on_notice(lambda _notice: heard.set())
        self.daemon.notify(NoticeBody(self.actor.name, what, "killed"))
        with anyio.fail_after(WITHIN):
            await heard.wait()


@asynccontextmanager
async def speaking(bus: Bus, fleet: str, cell: str, *, exchange: Exchange | None = None) -> AsyncGenerator[Endpoint]:
    """Open an endpoint whose interests the broker knows."""
    async with Endpoint(bus, fleet=fleet, cell=cell, clock=SystemClock(), exchange=exchange) as endpoint:
        await bus.flush()
        yield endpoint


class Outcome:
    """How something that runs beside the test ended."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: CallboardError | None = None
        self._done = anyio.Event()

    async def run(self, what: Awaitable[Any]) -> None:
        """Run it; a typed error is an outcome too."""
        try:
            self.value = await what
        except CallboardError as error:
            self.error = error
        self._done.set()

    @property
    def done(self) -> bool:
        """Whether it ended."""
        return self._done.is_set()

    async def wait(self, *, within: float = WITHIN) -> "Outcome":
        """Wait for the end."""
        with anyio.fail_after(within):
            await self._done.wait()
        return self
