"""Leases: money that a cell may spend, put aside in all the windows that it falls under."""

import math
import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from . import window_table
from .granting import Crossed, Refused, Stand, decide_amount, decide_lines, decide_waits
from .lease_request import LeaseRequest


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """Money that may be spent."""

    id: int
    amount: int
    """Nano-dollars."""
    until: float
    """When the first of its windows ends; infinite without one."""
    crossed: tuple[Crossed, ...] = ()
    """Lines that it is the first to reach. They are told to nobody else."""
    step_down: bool = False
    queue: bool = False


def lease(conn: sqlite3.Connection, request: LeaseRequest, now: float) -> Leased | Refused:
    """Put money aside, or say which window has too little; what the cell gives back is free before."""
    for number, most in request.back:
        _shrink(conn, request, number, most)
    stands = [window_table.stand(conn, window, now) for window in request.windows]
    if request.id and (known := _known(conn, request, stands)) is not None:
        return known
    amount = decide_amount(request, stands)
    if isinstance(amount, Refused):
        return _tell_waits(conn, request, stands, amount, now)
    reached = decide_lines(stands, amount)
    until = min((window.end for window in request.windows), default=math.inf)
    sql = "INSERT INTO leases (cell, epoch, actor, amount, rest, made, until, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    values = (request.cell, request.epoch, request.actor, amount, amount, now, until, request.id or None)
    made = conn.execute(sql, values)
    number = made.lastrowid or 0
    for stand, told in zip(stands, reached.told, strict=True):
        window_table.reserve(conn, stand.number, amount, told=told, now=now)
        conn.execute("INSERT INTO shares VALUES (?, ?)", (number, stand.number))
    return Leased(
        id=number, amount=amount, until=until, crossed=reached.crossed, step_down=reached.step_down, queue=reached.queue
    )  # fmt: skip


def _tell_waits(
    conn: sqlite3.Connection, request: LeaseRequest, stands: Sequence[Stand], refused: Refused, now: float
) -> Refused:
    """Return the refusal with the lines at which others wait from now on, each told once in its window."""
    waits = decide_waits(request, stands)
    for stand, told in waits:
        window_table.reserve(conn, stand.number, 0, told=told, now=now)
    crossed = tuple(Crossed(window=stand.window.name, line="queue") for stand, _ in waits)
    return msgspec.structs.replace(refused, crossed=crossed)


def _known(conn: sqlite3.Connection, request: LeaseRequest, stands: Sequence[Stand]) -> Leased | None:
    """Return what was leased for a request whose answer was lost: nothing of it can have been spent since."""
    sql = "SELECT id, amount, until FROM leases WHERE cell = ? AND epoch = ? AND request = ? AND rest = amount"
    found = conn.execute(sql, (request.cell, request.epoch, request.id)).fetchone()
    if found is None:
        return None
    reached = decide_lines(stands, 0)
    number, amount, until = found
    return Leased(id=number, amount=amount, until=until, step_down=reached.step_down, queue=reached.queue)


def _shrink(conn: sqlite3.Connection, request: LeaseRequest, number: int, most: int) -> None:
    """Let no more than `most` of a lease be spent in all. Asked again it changes nothing."""
    sql = "SELECT amount, rest FROM leases WHERE id = ? AND cell = ? AND epoch = ?"
    for amount, rest in conn.execute(sql, (number, request.cell, request.epoch)).fetchall():
        unused = min(amount - most, rest)
        if unused > 0:
            window_table.free(conn, number, unused)
            conn.execute("UPDATE leases SET amount = amount - ?1, rest = rest - ?1 WHERE id = ?2", (unused, number))


def give_back(conn: sqlite3.Connection, cell: str, epoch: int, leases: Iterable[int]) -> int:
    """Let what was not settled of leases be free again, and return how much that is.

    Another cell's, and those of its own lives before, are left as they are: who held them may have spent them.
    """
    total = 0
    for number in leases:
        sql = "SELECT rest FROM leases WHERE id = ? AND cell = ? AND epoch = ? AND rest > 0"
        for (rest,) in conn.execute(sql, (number, cell, epoch)).fetchall():
            window_table.free(conn, number, rest)
            conn.execute("UPDATE leases SET rest = 0 WHERE id = ?", (number,))
            total += rest
    return total
