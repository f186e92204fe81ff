"""What tests of the office's file share: a shop that spends, and what must be true of the file at any moment."""

import math
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from callboard.clock import Clock
from callboard.store.office import Entry, Leased, LeaseRequest, OfficeFile, Refused, Window, open_office

_ids = count()


def opened(folder: Path, clock: Clock, *, epoch: int = 1, **more: Any) -> AbstractAsyncContextManager[OfficeFile]:
    return open_office(folder, epoch=epoch, clock=clock, synchronous="NORMAL", **more)


def window(
    name: str = "fleet/day", limit: int = 1000, *, start: float = 0.0, end: float = math.inf, **lines: int
) -> Window:
    return Window(name=name, limit=limit, start=start, end=end, **lines)


def request(
    *windows: Window, least: int = 0, want: int = 0, cell: str = "c", epoch: int = 1, actor: str = "a",
    urgent: bool = True, back: tuple[tuple[int, int], ...] = (), key: str = "",
) -> LeaseRequest:  # fmt: skip
    return LeaseRequest(
        cell=cell, epoch=epoch, actor=actor, least=least, want=want, windows=windows, urgent=urgent, back=back, id=key
    )


def entry(lease: int = 0, cost: int = 0, **more: Any) -> Entry:
    plain = Entry(id=f"e{next(_ids)}", at=1_700_000_000.0, actor="a", lease=lease, cost=cost)
    return msgspec.structs.replace(plain, **more)


async def leased(office: OfficeFile, wanted: LeaseRequest) -> Leased:
    found = await office.lease(wanted)
    assert isinstance(found, Leased), found
    return found


async def refused(office: OfficeFile, wanted: LeaseRequest) -> Refused:
    found = await office.lease(wanted)
    assert isinstance(found, Refused), found
    return found


class Sums(msgspec.Struct, frozen=True):
    """A window as it is in the file."""

    spent: int
    reserved: int
    beyond: int


async def sums(office: OfficeFile, name: str = "fleet/day") -> Sums:
    sql = "SELECT spent, reserved, beyond FROM windows WHERE name = ?"
    return Sums(*await office.db.read(lambda conn: conn.execute(sql, (name,)).fetchone()))


async def rows(office: OfficeFile, sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    return await office.db.read(lambda conn: conn.execute(sql, values).fetchall())


def wrong(conn: sqlite3.Connection) -> list[str]:
    """Return what is not as it must be, in a file from which nothing was swept."""
    return [f"{claim}: {row}" for claim, sql in _NEVER.items() for row in conn.execute(_SUMS + sql)]


# Sums first, then what they are to be: a sum for each window by itself would read all leases each time.
_SUMS = """
WITH booked AS MATERIALIZED (
  SELECT leases.id AS id, sum(cost) AS cost FROM ledger JOIN leases ON leases.id = lease AND leases.cell = ledger.cell
  GROUP BY leases.id
), held AS MATERIALIZED (
  SELECT budget, sum(rest) AS rest, total(cost) AS cost FROM shares JOIN leases ON leases.id = lease
  LEFT JOIN booked ON booked.id = lease GROUP BY budget
)
"""
_NEVER = {
    "more than the limit": "SELECT * FROM windows WHERE spent + reserved > most + beyond + above",
    "room above a limit for nothing": "SELECT * FROM windows WHERE above > max(0, spent + reserved - beyond - most)",
    "reserved for no lease": (
        "SELECT name, reserved, rest FROM windows LEFT JOIN held ON budget = number WHERE reserved != coalesce(rest, 0)"
    ),
    "spent, and not in the ledger": (
        "SELECT name, spent, cost FROM windows LEFT JOIN held ON budget = number WHERE spent != coalesce(cost, 0)"
    ),
    "what a lease has left, and what it was used for": (
        "SELECT leases.id, amount, rest, cost FROM leases LEFT JOIN booked ON booked.id = leases.id "
        "WHERE rest > 0 AND rest != amount - coalesce(cost, 0)"
    ),
    "a size that is none": "SELECT bytes FROM cache_size WHERE bytes != (SELECT coalesce(sum(bytes), 0) FROM cache)",
    "damaged": "SELECT * FROM pragma_integrity_check WHERE integrity_check != 'ok'",
}
