"""Actors that a person holds, kept until a person revives them."""

from callboard.clock import Clock

from .database import Database


class Holds:
    """The holds of a daemon's database."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._db, self._clock = db, clock

    async def add(self, actor: str) -> None:
        """Remember that `actor` is held."""
        row = (actor, self._clock.now())
        await self._db.write(lambda conn: conn.execute("INSERT OR IGNORE INTO held VALUES (?, ?)", row))

    async def discard(self, actor: str) -> None:
        """Forget it."""
        await self._db.write(lambda conn: conn.execute("DELETE FROM held WHERE actor = ?", (actor,)))

    async def all(self) -> set[str]:
        """Return who is held."""
        rows = await self._db.read(lambda conn: conn.execute("SELECT actor FROM held").fetchall())
        return {str(actor) for (actor,) in rows}
