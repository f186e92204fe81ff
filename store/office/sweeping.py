"""Letting go what is not to be kept, a portion at a time, so that no lease waits long for it."""

from typing import Final

import msgspec

from ..database import Database

PORTION: Final = 500
"""Rows in one transaction."""
LEASES_KEPT: Final = 7 * 86400.0
"""Seconds after which a closed lease goes: what is settled later still counts, but in no window."""
WINDOWS_LEFT: Final = 10_000
"""The newest windows stay, however old: a clock that was years ahead for a moment must not open all budgets anew."""

_ANSWERS: Final = "SELECT number FROM cache WHERE expires <= ? ORDER BY expires LIMIT ?"
_ENTRIES: Final = "SELECT number FROM ledger WHERE at < ? ORDER BY at LIMIT ?"
# Only the oldest are looked at: there is no index by time, which each lease would pay for.
_LEASES: Final = "SELECT id FROM (SELECT id, rest, made FROM leases ORDER BY id LIMIT ?2) WHERE rest = 0 AND made < ?1"
_WINDOWS: Final = (
    "SELECT number FROM windows WHERE reserved = 0 AND used < ?1 "  # noqa: S608 - ours
    f"AND number <= (SELECT max(number) FROM windows) - {WINDOWS_LEFT} ORDER BY number LIMIT ?2"
)


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows went."""

    answers: int
    entries: int
    leases: int
    windows: int


async def sweep(db: Database, now: float, keep: float) -> Swept:
    """Delete answers that have expired, and what is older than `keep` seconds."""
    old = now - keep
    return Swept(
        answers=await _all(db, "DELETE FROM cache WHERE number IN ({})", _ANSWERS, now),
        entries=await _all(db, "DELETE FROM ledger WHERE number IN ({})", _ENTRIES, old),
        leases=await _all(db, "DELETE FROM leases WHERE id IN ({})", _LEASES, now - LEASES_KEPT),
        windows=await _all(db, "DELETE FROM windows WHERE number IN ({})", _WINDOWS, old),
    )


async def _all(db: Database, sql: str, which: str, before: float) -> int:
    gone, part = 0, PORTION
    while part == PORTION:
        part = await db.write(lambda conn: conn.execute(sql.format(which), (before, PORTION)).rowcount)
        gone += part
    return gone
