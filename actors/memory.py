"""Working memory as an actor sees it: the store's, opened on first use, and parts of it that cannot mix."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from callboard.store import MemoryLayer, Namespace, WorkingMemory

T = TypeVar("T")
D = TypeVar("D")
_WHOLE: Final = Namespace()


class Memory:
    """What an actor keeps under no namespace, or under one of them. Its errors are those of the store's verbs."""

    __slots__ = ("_namespace", "_open")

    def __init__(
        self, open_memory: Callable[[], Awaitable[WorkingMemory | MemoryLayer]], namespace: Namespace = _WHOLE
    ) -> None:
        self._open = open_memory
        self._namespace = namespace

    def of(self, namespace: str) -> "Memory":
        """Return what is kept under `namespace`: a customer, a session, ``ctx.key``.

        The same key in two of them is two values, and neither is one of the actor's own without a namespace.
        """
        return Memory(self._open, Namespace(namespace))

    async def open(self) -> WorkingMemory | MemoryLayer:
        """Return the store's memory, in which all namespaces lie."""
        return await self._open()

    async def put(self, key: str, value: object, *, ttl: float | None = None) -> None:
        """Store `value` under `key` for `ttl` seconds (default two hours)."""
        await (await self._open()).put(self._namespace.stored(key), value, ttl=ttl)

    async def get(self, key: str, kind: type[T], *, default: D) -> T | D:
        """Return the value of `key` as a `kind`, or `default` when there is none or it has expired."""
        return await (await self._open()).get(self._namespace.stored(key), kind, default=default)

    async def incr(self, key: str, by: int = 1, *, ttl: float | None = None) -> int:
        """Add to a counter and return its new value, atomically."""
        return await (await self._open()).incr(self._namespace.stored(key), by, ttl=ttl)

    async def update(self, key: str, fn: Callable[[T], T], *, kind: type[T], default: T, ttl: float | None = None) -> T:
        """Replace the value, or `default` when there is none, by ``fn(value)`` and return that, atomically.

        `fn` may be called again, and on another thread: it must touch nothing but its argument.
        """
        found: Any = await (await self._open()).update(
            self._namespace.stored(key), fn, type=kind, default=default, ttl=ttl
        )
        return found  # type: ignore[no-any-return]  # what `fn` returned

    async def touch(self, key: str, ttl: float | None = None) -> bool:
        """Let a living value live for `ttl` seconds from now (default two hours); False if there is none."""
        return await (await self._open()).touch(self._namespace.stored(key), ttl)

    async def delete(self, key: str) -> bool:
        """Remove `key`; return whether it was there."""
        return await (await self._open()).delete(self._namespace.stored(key))

    async def items(self, prefix: str = "", *, kind: type[T]) -> list[tuple[str, T]]:
        """Return the living values whose keys start with `prefix`, each a `kind`, in order of their keys."""
        space = self._namespace
        found = await (await self._open()).items(space.prefix(prefix), type=kind, start=space.start)
        return [(space.key(stored), value) for stored, value in found]
