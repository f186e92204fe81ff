"""An actor's working memory: key → typed value with a time to live, in the actor's own file.

The file is the truth. Each change is one transaction of the database's thread, also `update`, whose function
runs inside it. Reads are answered from the mirror, which that thread keeps equal to what has been committed.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable
from enum import Enum
from types import UnionType
from typing import Any, Final, NamedTuple, TypeVar, overload

from callboard.clock import Clock

from .database import Database
from .errors import InvalidLimit, NoSuchKey
from .joined_puts import JoinedPuts
from .memory_table import MemoryTable
from .mirror import Listing, Mirror, Row
from .stored_keys import named
from .values import checked_key, decoded, encoded

T = TypeVar("T")
D = TypeVar("D")


class _Missing(Enum):
    MISSING = "no default was given"


_MISSING: Final = _Missing.MISSING


class Change(NamedTuple):
    """What a transaction did, for the mirror."""

    key: str
    row: Row
    evicted: list[str]
    value: Any


class WorkingMemory:
    """The memory of one actor. Made for the database's only user: nobody else may change its table.

    Args:
        db: the actor's database.
        clock: its wall clock decides what has expired, since that must hold across restarts.
        default_ttl: seconds that a value lives if nothing else is said.
        max_rows: when there are more, the least recently used are evicted.
        max_value_bytes: the limit of one value, as msgpack.
        resident_bytes: values held in memory for reading; others are read from the file.

    An expired value is never returned. It stays in the file until it is swept, evicted or replaced, and
    so long :class:`NoSuchKey` says ``expired``, not ``absent``.
    """

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock,
        default_ttl: float = 7200.0,
        max_rows: int = 10_000,
        max_value_bytes: int = 256 * 1024,
        resident_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        if max_rows < 1 or max_value_bytes < 1 or resident_bytes < 0:
            raise InvalidLimit(
                "memory needs max_rows and max_value_bytes of 1 or more and resident_bytes of 0 or more, "
                f"not {max_rows}, {max_value_bytes}, {resident_bytes}"
            )
        self._db = db
        self._clock = clock
        self._default_ttl = _checked_ttl(default_ttl)
        self._max_value_bytes = max_value_bytes
        self._mirror = Mirror(resident=resident_bytes)
        self._table = MemoryTable(self._mirror, max_rows=max_rows)
        self._puts = JoinedPuts(self._table, self._mirror)

    async def put(self, key: str, value: object, *, ttl: float | None = None) -> None:
        """Store `value` for `ttl` seconds (``math.inf``: until evicted); it is in the file on return.

        Raises :class:`InvalidMemoryKey`, :class:`WrongValueType`, :class:`ValueTooLarge` or
        :class:`InvalidLimit`.
        """
        data, expires = self.prepare(key, value, ttl)
        if not self._mirror.loaded:
            await self.ready()
        await self._db.join(self._puts, (key, Row(expires, data)))

    @overload
    async def get(self, key: str) -> object: ...
    @overload
    async def get(self, key: str, *, default: object) -> object: ...
    @overload
    async def get(self, key: str, type: type[T]) -> T: ...
    @overload
    async def get(self, key: str, type: type[T], *, default: D) -> T | D: ...
    @overload
    async def get(self, key: str, type: UnionType, *, default: object = ...) -> Any: ...
    async def get(self, key: str, type: Any = Any, *, default: Any = _MISSING) -> Any:  # noqa: A002 - msgspec's word
        """Return a fresh value of `type`, or `default` if there is no living one.

        Raises :class:`NoSuchKey` without a default, and :class:`WrongValueType` if another type is stored.
        """
        row = self._mirror.rows.get(key)
        if row is None or row.data is None:
            row = await self._look_up(checked_key(key))
        if row is None or row.data is None or row.expires <= self._clock.now():
            if default is _MISSING:
                raise _no_such_key(key, row)
            return default
        self._table.touch(key)
        return decoded(key, row.data, type)

    async def delete(self, key: str) -> bool:
        """Delete the value; True if a living one was there."""
        checked_key(key)
        now = self._clock.now()
        await self.ready()
        return await self._db.write(lambda conn: self._delete(conn, key, now), committed=lambda _: self.dropped([key]))

    async def touch(self, key: str, ttl: float | None = None) -> bool:
        """Let a living value live for `ttl` seconds from now, as with :meth:`put`, and count this as a use of it.

        False if there is none: an expired one stays so.
        """
        expires = self.expiry(ttl)
        checked_key(key)
        return (await self._write(lambda conn: self.renew(conn, key, expires))) is not None

    @overload
    async def items(self, prefix: str = ..., *, start: str = ...) -> list[tuple[str, object]]: ...
    @overload
    async def items(self, prefix: str = ..., *, type: type[T], start: str = ...) -> list[tuple[str, T]]: ...
    async def items(self, prefix: str = "", *, type: Any = Any, start: str = "") -> list[tuple[str, Any]]:  # noqa: A002 - msgspec's word
        """Return the living values whose keys start with `prefix`, in order of their keys, as of one moment.

        Those before the key `start` are left out. This does not count as a use of them.
        """
        if prefix:
            checked_key(prefix)
        now = self._clock.now()
        rows = await self._db.read(lambda conn: self._table.living(conn, prefix, start, now))
        return [(key, decoded(key, data, type)) for key, data in rows]

    @overload
    async def update(self, key: str, fn: Callable[[T], T], *, type: type[T], ttl: float | None = ...) -> T: ...
    @overload
    async def update(
        self, key: str, fn: Callable[[T], T], *, type: type[T], default: T, ttl: float | None = ...
    ) -> T: ...
    async def update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        *,
        type: Any,  # noqa: A002 - msgspec's word
        default: Any = _MISSING,
        ttl: float | None = None,
    ) -> Any:
        """Replace the value by ``fn(value)`` and return the new one; no other change comes in between.

        `fn` gets `default` if there is no living value. It runs inside the transaction, on the store's
        thread: it must be quick, and touch nothing but its argument. Its exception is raised here and nothing
        changes. The new value lives for `ttl` as with :meth:`put`. Raises what :meth:`get` and :meth:`put`
        raise.
        """
        checked_key(key)
        expires, now = self.expiry(ttl), self._clock.now()

        def change(conn: sqlite3.Connection) -> Change:
            old = self._table.find(conn, key)
            value = fn(_value(key, old, now, wanted=type, default=default))
            return self._put(conn, key, Row(expires, encoded(key, value, limit=self._max_value_bytes)), value)

        return _surely(await self._write(change)).value

    async def incr(self, key: str, by: int = 1, *, ttl: float | None = None) -> int:
        """Add `by` to an integer, 0 if there is no living one, and return the sum.

        A counter that is there keeps its expiry unless `ttl` is given, so it can count within a window.
        """
        checked_key(key)
        expires = 0.0 if ttl is None else self.expiry(ttl)
        change = await self._write(lambda conn: self.add(conn, key, by, expires))
        return int(_surely(change).value)

    async def sweep(self, limit: int = 500) -> int:
        """Delete up to `limit` expired values and return how many; saves the order of up to `limit` accesses too.

        Where there is nothing to do, nothing is written.
        """
        if limit < 1:
            raise InvalidLimit(f"the limit of a sweep must be 1 or more, not {limit}")
        await self.ready()
        now = self._clock.now()
        if now < self._mirror.soonest and not self._table.has_touches:
            return 0
        gone = await self._db.write(lambda conn: self._sweep(conn, limit, now), committed=self.dropped)
        return len(gone)

    async def ready(self) -> None:
        """Read which keys there are, once."""
        if not self._mirror.loaded:
            await self._db.read(self._load)

    async def _look_up(self, key: str) -> Row | None:
        """Find a row that the mirror could not answer for."""
        await self.ready()
        row = self._mirror.rows.get(key)
        if row is None or row.data is not None:
            return row
        return await self._db.read(lambda conn: self._fetch(conn, key))

    async def _write(self, change: Callable[[sqlite3.Connection], Change | None]) -> Change | None:
        await self.ready()
        return await self._db.write(change, committed=self.mirrored)

    def _load(self, conn: sqlite3.Connection) -> None:
        if not self._mirror.loaded:  # two may have wanted it at once
            self._table.load(conn)

    # For a layer above, which commits with other things.

    def prepare(self, key: str, value: object, ttl: float | None) -> tuple[bytes, float]:
        """Return a value's bytes and when it expires; raises what :meth:`put` does."""
        return encoded(checked_key(key), value, limit=self._max_value_bytes), self.expiry(ttl)

    def expiry(self, ttl: float | None) -> float:
        """Return when a value expires that is put now."""
        return self._clock.now() + (self._default_ttl if ttl is None else _checked_ttl(ttl))

    def has_expired(self, expires: float) -> bool:
        """Whether that moment has come."""
        return expires <= self._clock.now()

    async def living(self, key: str) -> bytes | None:
        """Return the bytes of a living value; None if there is none."""
        row = await self._look_up(key)
        return row.data if row is not None and row.expires > self._clock.now() else None

    # Below: on the database's thread.

    def find(self, conn: sqlite3.Connection, key: str) -> bytes | None:
        """Return the bytes of a living value as the file has them."""
        row = self._table.find(conn, key)
        return row.data if row is not None and row.expires > self._clock.now() else None

    def write(self, conn: sqlite3.Connection, key: str, data: bytes, expires: float) -> Change:
        """Write a value, inside the caller's transaction; give what is returned to :meth:`mirrored` after it."""
        return self._put(conn, key, Row(expires, data), None)

    def add(self, conn: sqlite3.Connection, key: str, by: int, expires: float) -> Change:
        """Add to a counter, the same way; 0.0: one that is there keeps its expiry."""
        old, now = self._table.find(conn, key), self._clock.now()
        value = _value(key, old, now, wanted=int, default=0) + by
        kept = old.expires if old and old.expires > now else self.expiry(None)
        return self._put(conn, key, Row(expires or kept, encoded(key, value, limit=self._max_value_bytes)), value)

    def renew(self, conn: sqlite3.Connection, key: str, expires: float) -> Change | None:
        """Let a living value live until `expires`, the same way; None if there is none."""
        row = self._table.find(conn, key)
        if row is None or row.expires <= self._clock.now():
            return None
        return self._put(conn, key, Row(expires, row.data), None)

    def remove(self, conn: sqlite3.Connection, key: str) -> None:
        """Delete a value, the same way; give its key to :meth:`dropped`."""
        self._table.delete(conn, key)

    def replace(self, conn: sqlite3.Connection, rows: Callable[[float, int], Iterable[Any]]) -> Listing:
        """Let other rows take the place of all, the same way; give what is returned to :meth:`replaced`."""
        return self._table.replace(conn, rows, self._clock.now())

    def _fetch(self, conn: sqlite3.Connection, key: str) -> Row | None:
        row = self._table.find(conn, key)
        if row is not None:
            self._mirror.fill(key, row)
        return row

    def _put(self, conn: sqlite3.Connection, key: str, row: Row, value: Any) -> Change:
        return Change(key, row, self._table.put(conn, [(key, row)]), value)

    def _delete(self, conn: sqlite3.Connection, key: str, now: float) -> bool:
        row = self._table.find(conn, key)
        return self._table.delete(conn, key) and row is not None and row.expires > now

    def _sweep(self, conn: sqlite3.Connection, limit: int, now: float) -> list[str]:
        self._table.save_touches(conn, limit)
        return [key for key in self._mirror.expired(now)[:limit] if self._table.delete(conn, key)]

    def mirrored(self, change: Change | None) -> None:
        """Let readers see what has been committed."""
        if change is not None:
            self._mirror.keep([(change.key, change.row)])
            self.dropped(change.evicted)

    def replaced(self, listing: Listing) -> None:
        """Let readers see that all is replaced."""
        self._mirror.load(listing)
        self._table.settle()

    def dropped(self, keys: list[str]) -> None:
        """Let readers see that values are gone."""
        for key in keys:
            self._mirror.drop(key)
        self._table.settle()


def _checked_ttl(ttl: float) -> float:
    if not ttl > 0 or math.isnan(ttl):
        raise InvalidLimit(f"a time to live is in seconds above 0, not {ttl!r}")
    return ttl


def _surely(change: Change | None) -> Change:
    """Return a change that was made for sure."""
    if change is None:
        raise AssertionError("nothing was written")
    return change


def _value(key: str, row: Row | None, now: float, *, wanted: Any, default: Any) -> Any:
    if row is not None and row.data is not None and row.expires > now:
        return decoded(key, row.data, wanted)
    if default is _MISSING:
        raise _no_such_key(key, row)
    return default


def _no_such_key(key: str, row: Row | None) -> NoSuchKey:
    reason = "absent" if row is None else "expired"
    return NoSuchKey(f"memory {named(key)} is {reason}: put it first, or give a default", key=key, reason=reason)
