"""Callboard's side: a Fleet as its documentation shows it, nothing tuned."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from callboard import Fleet

from .actors import Receiver
from .messages import TEXT, Count, Note, Question
from .side import ASK_WITHIN


class Ours:
    """Tells and asks through a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def tell(self, count: int) -> int:
        """Send notes one by one, and ask behind them."""
        for number in range(count):
            await self._fleet.tell(Receiver, Note(number=number, text=TEXT))
        return (await self._fleet.ask(Receiver.count, Count(), timeout=ASK_WITHIN)).handled

    async def ask(self, number: int) -> int:
        """Ask one question."""
        question = Question(number=number, text=TEXT)
        return (await self._fleet.ask(Receiver.question, question, timeout=ASK_WITHIN)).number


@asynccontextmanager
async def open_ours(url: str, *, isolation: Literal["task", "process"]) -> AsyncIterator[Ours]:
    """Run the receiver in a cell of its own, or as a task in this process."""
    async with Fleet(f"bench-{isolation}", [Receiver], nats=url, isolation=isolation) as fleet:
        yield Ours(fleet)
