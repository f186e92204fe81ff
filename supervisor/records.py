"""What the supervisor remembers: events and epochs, in ``daemon.db``."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from callboard.clock import Clock
from callboard.errors import Detail
from callboard.store import DAEMON, Database, Epochs, Event, Events

from .messages import EventList, ListEvents, Recorded

Listener = Callable[[Event], None]


class Records:
    """Events and epochs of one fleet."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._events = Events(db, clock=clock)
        self.epochs = Epochs(db)
        self.listeners: list[Listener] = []

    async def add(self, kind: str, subject: str, text: str, detail: Detail | None = None) -> None:
        """Record an event and tell those who listen."""
        event = await self._events.append(kind, subject, text, detail)
        for listener in self.listeners:
            listener(event)

    async def take(self, event: Recorded) -> None:
        """Record what a cell reported."""
        await self.add(event.kind, event.subject, event.text, event.detail)

    async def list(self, query: ListEvents) -> EventList:
        """Return events, oldest first."""
        limit = max(1, min(query.limit, 1000))
        if query.after >= 0:
            found = await self._events.after(query.after, limit)
        else:
            found = await self._events.latest(limit, kind=query.kind or None, subject=query.subject or None)
        return EventList(events=sorted(found, key=lambda event: event.seq))


@asynccontextmanager
async def open_records(path: Path, *, clock: Clock) -> AsyncIterator[Records]:
    """Open ``daemon.db`` for the time of the block."""
    async with Database.open(path, migrations=DAEMON) as db:
        yield Records(db, clock=clock)
