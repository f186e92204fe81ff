"""What the supervisor remembers: events, epochs and the quarantine, in ``daemon.db``."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from callboard.actors import PAROLE, Letter
from callboard.clock import Clock
from callboard.errors import Detail
from callboard.store import (
    DAEMON,
    Database,
    DeadLetters,
    Epochs,
    Event,
    Events,
    Holds,
    Quarantine,
    Quarantined,
    StoreError,
    mentions,
)

from .messages import EventList, ListEvents, Recorded

Listener = Callable[[Event], None]


class Records:
    """Events, epochs and quarantine of one fleet."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._db, self._events, self._clock = db, Events(db, clock=clock), clock
        self.epochs = Epochs(db)
        self.quarantine = Quarantine(db, clock=clock)
        self.dead = DeadLetters(db)
        self.holds = Holds(db, clock=clock)
        self.held: set[str] = set()
        """Who was held by a person when these records were opened."""
        self.confined: dict[str, dict[str, float]] = {}
        """The same for who must be told: for each actor the digests, and until when (Unix seconds)."""
        self.listeners: list[Listener] = []

    async def add(self, kind: str, subject: str, text: str, detail: Detail | None = None) -> None:
        """Record an event and tell those who listen."""
        try:
            event = await self._events.append(kind, subject, text, detail)
        except StoreError as error:  # a full disk must not end the fleet: who reads the log sees it
            print(f"not recorded ({error}): {kind} {subject}: {text}", file=sys.stderr, flush=True)  # noqa: T201
            return
        for listener in self.listeners:
            listener(event)

    async def take(self, event: Recorded) -> None:
        """Record what a cell reported."""
        await self.add(event.kind, event.subject, event.text, event.detail)

    async def mentions(self, text: str) -> dict[str, int]:
        """Return which tables mention a text, and how many of their rows do."""
        return await self._db.read(lambda conn: mentions(conn, text))

    async def confine(self, actor: str, letter: Letter, digest: str, history: list[str], did: str) -> None:
        """Put a message in quarantine, whole, and say so."""
        envelope, now = letter.envelope, self._clock.now()
        sender, reason = envelope.sender or letter.cell or "outside", f"{did} {len(history)} times"
        row = Quarantined(
            digest=digest, actor=actor, type=envelope.type, sender=sender, body=bytes(envelope.body), reason=reason,
            history=history, at=now, until=now + PAROLE,
        )  # fmt: skip
        with suppress(StoreError):  # then it is refused until this daemon ends
            await self.quarantine.put(row)
        self.confined.setdefault(actor, {})[digest] = row.until
        text = f"{row.type} {row.reason} and is refused for {PAROLE / 60:g} minutes; the last time: {history[-1]}"
        await self.add("message-quarantined", actor, text, {"digest": digest, "id": envelope.id, "type": row.type})

    def confined_of(self, actor: str) -> dict[str, float]:
        """Return what `actor` must not meet, and until when; what is over is forgotten."""
        now = self._clock.now()
        self.confined[actor] = {known: until for known, until in self.confined.get(actor, {}).items() if until > now}
        return self.confined[actor]

    async def release(self, digest: str) -> Quarantined | None:
        """Take a message out of quarantine; return it if it was there. The beginning of its digest is enough."""
        found = [row for row in await self.quarantine.all() if row.digest.startswith(digest)]
        if len(found) != 1:
            return None
        await self.quarantine.drop(found[0].digest)
        self.confined.get(found[0].actor, {}).pop(found[0].digest, None)
        await self.add("message-released", found[0].actor, f"{found[0].type} {found[0].digest[:12]}: released by hand")
        return found[0]

    async def recall(self) -> None:
        """Read who is held and what is in quarantine from before."""
        self.held = await self.holds.all()
        for row in await self.quarantine.all():
            self.confined.setdefault(row.actor, {})[row.digest] = row.until

    async def about(self, subject: str, limit: int = 12) -> "list[Event]":
        """Return the latest events about an actor or a cell, the newest first."""
        return await self._events.latest(limit, subject=subject)

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
        records = Records(db, clock=clock)
        await records.recall()
        yield records
