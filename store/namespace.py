"""A part of working memory whose keys cannot be those of another part."""

from .errors import InvalidMemoryKey
from .stored_keys import AFTER_MARK, MARK, prefix_of
from .values import checked_name


class Namespace:
    """Makes stored keys of the keys in it. Without a name it is what lies in no namespace.

    Name and keys are text of 1 to 128 bytes; a key in no namespace does not begin with NUL. Raises
    :class:`InvalidMemoryKey` for others.
    """

    __slots__ = ("_prefix", "start")

    def __init__(self, name: str | None = None) -> None:
        self._prefix = "" if name is None else prefix_of(checked_name(name))
        self.start = AFTER_MARK if name is None else ""
        """No stored key in it is before this one."""

    def stored(self, key: str) -> str:
        """Return the key under which `key` is stored."""
        stored = self._prefix + checked_name(key)
        if stored.startswith(MARK) and not self._prefix:
            raise InvalidMemoryKey(f"{key!r} is not a memory key: one in no namespace does not begin with NUL")
        return stored

    def prefix(self, prefix: str) -> str:
        """Return what the stored keys of all that start with `prefix` begin with."""
        return self.stored(prefix) if prefix else self._prefix

    def key(self, stored: str) -> str:
        """Return the key that is stored so."""
        return stored[len(self._prefix) :]
