"""Letting go what is not to be kept, a portion at a time, so that no lease waits long for it."""

from typing import Final

import msgspec

from ..database import Database

PORTION: Final = 500
"""Rows in one transaction."""
LEASES_KEPT: Final = 7 * 86400.0
"""Seconds after which a closed lease goes: what is settled later still counts, but in no window."""
NEWEST: Final = 10_000
"""As many windows and leases stay, however old: a clock that is years ahead for a moment opens no budget anew."""

_ANSWERS: Final = "SELECT number FROM cache WHERE expires <= ? ORDER BY expires LIMIT ?"
_ENTRIES: Final = "SELECT number FROM ledger WHERE at < ? ORDER BY at LIMIT ?"
# Only the oldest are looked at: there is no index by time, which each lease would pay for.
_LEASES: Final = (
    "SELECT id FROM (SELECT id, rest, made FROM leases ORDER BY id LIMIT ?2) WHERE rest = 0 AND made < ?1 "  # noqa: S608 - ours
    f"AND id <= (SELECT max(id) FROM leases) - {NEWEST}"
)
_WINDOWS: Final = (
    "SELECT number FROM windows WHERE reserved = 0 AND used < ?1 "  # noqa: S608 - ours
    f"AND number <= (SELECT max(number) FROM windows) - {NEWEST} ORDER BY number LIMIT ?2"
)


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows went."""

    answers: int
    entries: int
    leases: int
    windows: int


async def sweep(db: Database, now: float, *, surely: float, keep: float) -> Swept:
    """Delete answers that have expired by now, and what by the time that it surely is older than `keep` seconds."""
    old = surely - keep
    return Swept(
        answers=await _all(db, "DELETE FROM cache WHERE number IN ({})", _ANSWERS, now),
        entries=await _all(db, "DELETE FROM ledger WHERE number IN ({})", _ENTRIES, old),
        leases=await _all(db, "DELETE FROM leases WHERE id IN ({})", _LEASES, surely - LEASES_KEPT),
        windows=await _all(db, "DELETE FROM windows WHERE number IN ({})", _WINDOWS, old),
    )


async def _all(db: Database, sql: str, which: str, before: float) -> int:
    gone, part = 0, PORTION
    while part == PORTION:
        part = await db.write(lambda conn: conn.execute(sql.format(which), (before, PORTION)).rowcount)
        gone += part
    return gone
