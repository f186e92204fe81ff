"""Messages that crashed or failed their actor again and again, kept whole with their history until a person decides.

A row is about a *content*, not a sending: who retries a bad message gives it a new id each time. It ends by itself
after its time, by :meth:`Quarantine.drop`, or when newer ones push it out.
"""

import sqlite3
from typing import Any, Final

import msgspec

from callboard.clock import Clock

from .database import Database

KEEP: Final = 10_000
_COLUMNS: Final = "digest, actor, type, sender, body, reason, history, at, until, refused"


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One message in quarantine. Times in Unix seconds."""

    digest: str
    actor: str
    type: str
    sender: str
    body: bytes
    reason: str
    history: list[str]
    """One line for each time that it crashed or failed its actor."""
    at: float
    until: float
    refused: int = 0


class Quarantine:
    """The quarantine of a daemon's database; keeps the newest `keep` rows."""

    def __init__(self, db: Database, *, clock: Clock, keep: int = KEEP) -> None:
        self._db, self._clock, self._keep = db, clock, keep

    async def put(self, row: Quarantined) -> None:
        """Store `row`, or store it anew."""
        values = (*msgspec.structs.astuple(row)[:6], msgspec.json.encode(row.history).decode(), row.at, row.until, 0)
        await self._db.write(lambda conn: self._insert(conn, values))

    def _insert(self, conn: sqlite3.Connection, values: tuple[Any, ...]) -> None:
        conn.execute(f"INSERT OR REPLACE INTO quarantine ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 - fixed names
        conn.execute("DELETE FROM quarantine WHERE until < ?", (self._clock.now(),))
        conn.execute(
            "DELETE FROM quarantine WHERE digest IN (SELECT digest FROM quarantine ORDER BY at DESC LIMIT -1 OFFSET ?)",
            (self._keep,),
        )

    async def all(self, *, actor: str | None = None) -> list[Quarantined]:
        """Return what is in quarantine now, the newest first; of one actor if given."""
        sql = f"SELECT {_COLUMNS} FROM quarantine WHERE until > ? AND (? IS NULL OR actor = ?) ORDER BY at DESC"  # noqa: S608 - fixed names
        now = self._clock.now()
        rows = await self._db.read(lambda conn: conn.execute(sql, (now, actor, actor)).fetchall())
        return [_row(row) for row in rows]

    async def drop(self, digest: str) -> bool:
        """Forget one; return whether it was there."""
        return await self._db.write(
            lambda conn: conn.execute("DELETE FROM quarantine WHERE digest = ?", (digest,)).rowcount > 0
        )


def _row(row: tuple[Any, ...]) -> Quarantined:
    digest, actor, kind, sender, body, reason, history, at, until, refused = row
    return Quarantined(
        digest=digest, actor=actor, type=kind, sender=sender, body=bytes(body), reason=reason,
        history=msgspec.json.decode(history, type=list[str]), at=at, until=until, refused=refused,
    )  # fmt: skip
