"""What the supervisor saw and did: one row each, the newest kept."""

import sqlite3
from typing import Any, Final

import msgspec

from callboard.clock import Clock
from callboard.errors import Detail

from .database import Database
from .errors import InvalidLimit, ValueTooLarge, WrongValueType

_LONGEST_TEXT: Final = 2000  # characters
_LARGEST_DETAIL: Final = 64 * 1024  # bytes of JSON
_SURPLUS: Final = 64  # rows deleted with one append: old ones go faster than new ones come, and no append waits long
_COLUMNS: Final = "seq, at, kind, subject, text, detail"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    ``seq`` grows by one with each event and is never given twice. ``at`` is in Unix seconds. ``kind`` is a
    word such as ``cell-exited``, ``subject`` the name of an actor or cell, ``text`` one line for people,
    ``detail`` the evidence as flat values.
    """

    seq: int
    at: float
    kind: str
    subject: str
    text: str
    detail: Detail


class Events:
    """The event log of a daemon's database; keeps the newest `keep` rows."""

    def __init__(self, db: Database, *, clock: Clock, keep: int = 100_000) -> None:
        if keep < 1:
            raise InvalidLimit(f"events of {db.path} must keep 1 row or more, not {keep}")
        self._db = db
        self._clock = clock
        self._keep = keep

    async def append(self, kind: str, subject: str, text: str, detail: Detail | None = None) -> Event:
        """Store an event and return it as stored, once it is in the file.

        `text` becomes one line of at most 2,000 characters. Raises :class:`WrongValueType` if `detail` is not
        flat and :class:`ValueTooLarge` if it is above 64 KiB.
        """
        flat = _flat(kind, detail or {})
        values = (self._clock.now(), kind, subject, _one_line(text), msgspec.json.encode(flat).decode())
        return await self._db.write(lambda conn: self._insert(conn, values))

    async def latest(self, limit: int, *, kind: str | None = None, subject: str | None = None) -> list[Event]:
        """Return up to `limit` events, the newest first, of one kind or subject if given."""
        _check(limit)
        wanted = [(name, value) for name, value in (("kind", kind), ("subject", subject)) if value is not None]
        where = " AND ".join(f"{name} = ?" for name, _ in wanted) or "TRUE"
        sql = f"SELECT {_COLUMNS} FROM event WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - fixed names
        return await self._select(sql, *(value for _, value in wanted), limit)

    async def after(self, seq: int, limit: int) -> list[Event]:
        """Return up to `limit` events that came after number `seq`, the oldest first."""
        _check(limit)
        sql = f"SELECT {_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - fixed names
        return await self._select(sql, seq, limit)

    async def _select(self, sql: str, *values: str | int) -> list[Event]:
        rows = await self._db.read(lambda conn: conn.execute(sql, values).fetchall())
        return [_event(row) for row in rows]

    def _insert(self, conn: sqlite3.Connection, values: tuple[float, str, str, str, str]) -> Event:
        sql = f"INSERT INTO event (at, kind, subject, text, detail) VALUES (?, ?, ?, ?, ?) RETURNING {_COLUMNS}"  # noqa: S608 - fixed names
        [row] = conn.execute(sql, values).fetchall()
        conn.execute(
            "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (row[0] - self._keep, _SURPLUS),
        )
        return _event(row)


def _event(row: tuple[Any, ...]) -> Event:
    seq, at, kind, subject, text, detail = row
    flat = msgspec.json.decode(detail, type=Detail)
    return Event(seq=seq, at=at, kind=kind, subject=subject, text=text, detail=flat)


def _flat(kind: str, detail: Detail) -> Detail:
    try:
        flat = msgspec.convert(detail, Detail)
        size = len(msgspec.json.encode(flat))
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise WrongValueType(
            f"the detail of event {kind!r} must be flat text, numbers, booleans or null: {error}"
        ) from error
    if size > _LARGEST_DETAIL:
        raise ValueTooLarge(
            f"the detail of event {kind!r} has {size} bytes of JSON, above {_LARGEST_DETAIL}: "
            "store the evidence elsewhere and name it",
            size=size,
            limit=_LARGEST_DETAIL,
        )
    return flat


def _one_line(text: str) -> str:
    """Make `text` safe to print as a line: a log that people read must not be forged by what a cell said."""
    line = "".join(char if char.isprintable() else " " for char in text[: _LONGEST_TEXT + 1])
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


def _check(limit: int) -> None:
    if limit < 1:
        raise InvalidLimit(f"the limit of events to read must be 1 or more, not {limit}")
