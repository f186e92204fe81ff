"""Working memory as one task sees it: the actor's, below what this task has changed and not yet committed.

Nothing is seen by others before the commit, and nothing is locked meanwhile. Two tasks that change one key: a `put` is
what it says, the later commit stays; counters add up; a `touch` keeps what is there by then; an `update` is good only
for the value that it was given, so the commit fails if that is another by now, and the task is done again.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

import msgspec

from .errors import MemoryConflict
from .stored_keys import named
from .values import checked_key, decoded
from .working_memory import Change, WorkingMemory

T = TypeVar("T")
D = TypeVar("D")
_MISSING: Final = object()


class _Pending(msgspec.Struct, eq=False):
    """What is to become of one key."""

    kind: Literal["put", "delete", "add", "touch"]
    data: bytes = b""
    expires: float = 0.0
    """0.0: a counter that is there keeps its own."""
    by: int = 0
    base: bytes | msgspec.UnsetType | None = msgspec.UNSET
    """What an update was given; None: nothing was there. Unset: there was no update, and whatever is there may be."""


class MemoryLayer:
    """For one task."""

    def __init__(self, memory: WorkingMemory) -> None:
        self._memory = memory
        self._pending: dict[str, _Pending] = {}
        self._changes: list[Change] = []
        self._gone: list[str] = []

    async def put(self, key: str, value: object, *, ttl: float | None = None) -> None:
        """Store `value`; raises what the store's own ``put`` does, now and not at the commit."""
        data, expires = self._memory.prepare(key, value, ttl)
        self._pending[key] = _Pending("put", data, expires, base=self._base(key))

    def _base(self, key: str) -> bytes | msgspec.UnsetType | None:
        """Return what this task's decisions on `key` were based on: later ones follow from them."""
        pending = self._pending.get(key)
        return msgspec.UNSET if pending is None else pending.base

    async def get(self, key: str, kind: type[T], *, default: D) -> T | D:
        """Return the value as this task has left it."""
        pending = self._now(key)
        if pending is None or pending.kind == "touch":
            return await self._memory.get(key, kind, default=default)
        if pending.kind == "delete":
            return default
        if pending.kind == "add":
            value: Any = await self._memory.get(key, int, default=0) + pending.by
            return value  # type: ignore[no-any-return]  # an integer, as `kind` should be
        return decoded(key, pending.data, kind)  # type: ignore[no-any-return]  # decoded as a `kind`

    def _now(self, key: str) -> _Pending | None:
        """Return what is to become of a key; of a value of this task that has expired, that it is gone."""
        pending = self._pending.get(key)
        if pending is not None and pending.expires and self._memory.has_expired(pending.expires):
            return _Pending("delete", base=pending.base)
        return pending

    async def delete(self, key: str) -> bool:
        """Delete the value; return whether there was one."""
        there = await self.get(checked_key(key), object, default=_MISSING) is not _MISSING
        self._pending[key] = _Pending("delete", base=self._base(key))
        return there

    async def touch(self, key: str, ttl: float | None = None) -> bool:
        """Let a living value live for `ttl` seconds from now; False if there is none.

        If another deletes it before the commit, or it expires, it stays gone.
        """
        expires, pending = self._memory.expiry(ttl), self._now(checked_key(key)) or _Pending("touch")
        there = pending.kind != "delete"
        if pending.kind == "touch":
            there = await self._memory.living(key) is not None
        if there:
            self._pending[key] = msgspec.structs.replace(pending, expires=expires)
        return there

    async def incr(self, key: str, by: int = 1, *, ttl: float | None = None) -> int:
        """Add to a counter, 0 if there is none, and return the sum; the sums of two tasks at once add up."""
        pending = self._now(checked_key(key)) or _Pending("add")
        total = await self.get(key, int, default=0) + by
        data, expires = self._memory.prepare(key, total, ttl)  # checked now, not at the commit
        if ttl is None and pending.kind != "delete":
            expires = pending.expires
        if pending.kind in {"add", "touch"}:
            self._pending[key] = _Pending("add", expires=expires, by=pending.by + by)
        else:
            self._pending[key] = _Pending("put", data, expires, base=pending.base)
        return total

    async def update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        *,
        type: Any,  # noqa: A002 - as in the store
        default: Any,
        ttl: float | None = None,
    ) -> Any:
        """Replace the value by ``fn(value)`` and return the new one; if another task does so first, this one fails."""
        pending = self._now(checked_key(key))
        shared = pending is None or pending.kind in {"add", "touch"}
        base = await self._memory.living(key) if shared else self._base(key)
        value = fn(await self.get(key, type, default=default))
        data, expires = self._memory.prepare(key, value, ttl)
        self._pending[key] = _Pending("put", data, expires, base=base)
        return value

    async def items(
        self,
        prefix: str = "",
        *,
        type: Any = Any,  # noqa: A002 - as in the store
        start: str = "",
    ) -> list[tuple[str, Any]]:
        """Return the living values whose keys start with `prefix`, in order of their keys, from `start` on."""
        found = dict(await self._memory.items(prefix, type=type, start=start))
        for key in [key for key in self._pending if key.startswith(prefix) and key >= start]:
            found.pop(key, None)
            if (value := await self.get(key, type, default=_MISSING)) is not _MISSING:
                found[key] = value
        return sorted(found.items())

    async def ready(self) -> None:
        """Prepare for the commit."""
        if self._pending:
            await self._memory.ready()

    # --- on the database's thread

    def apply(self, conn: sqlite3.Connection) -> None:
        """Write all changes, inside the transaction of the commit; raises MemoryConflict."""
        self._changes, self._gone = [], []
        for key, pending in self._pending.items():
            if pending.base is not msgspec.UNSET and self._memory.find(conn, key) != pending.base:
                raise MemoryConflict(f"memory {named(key)} was changed by another task meanwhile", key=key)
            if pending.kind == "delete":
                self._memory.remove(conn, key)
                self._gone.append(key)
            elif pending.kind == "add":
                self._changes.append(self._memory.add(conn, key, pending.by, pending.expires))
            elif pending.kind == "touch":
                self._renew(conn, key, pending.expires)
            else:
                self._changes.append(self._memory.write(conn, key, pending.data, pending.expires))

    def _renew(self, conn: sqlite3.Connection, key: str, expires: float) -> None:
        if (change := self._memory.renew(conn, key, expires)) is not None:
            self._changes.append(change)

    def committed(self) -> None:
        """Let readers see what has been committed."""
        for change in self._changes:
            self._memory.mirrored(change)
        self._memory.dropped(self._gone)
