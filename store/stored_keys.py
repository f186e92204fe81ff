"""Keys of a namespace as keys of the one table, and back.

NUL, the namespace with its own NULs replaced, NUL, the key. The first NUL after the start so ends the namespace,
whatever either holds; and all keys of one namespace begin alike, so they are listed by a prefix.
"""

import re
from typing import Final

MARK: Final = "\0"
AFTER_MARK: Final = "\1"
"""Sorts after all keys that begin with NUL, and after no other."""
_REPLACED: Final = re.compile("\1([\1\2])")


def prefix_of(namespace: str) -> str:
    """Return what the stored keys of a namespace begin with."""
    return MARK + namespace.replace("\1", "\1\2").replace(MARK, "\1\1") + MARK


def split(stored: str) -> tuple[str, str]:
    """Return the namespace, empty if there is none, and the key of a stored key."""
    namespace, end, key = stored[1:].partition(MARK)
    if not stored.startswith(MARK) or not end:
        return "", stored
    return _REPLACED.sub(lambda found: MARK if found[1] == "\1" else "\1", namespace), key


def named(stored: str) -> str:
    """Return a stored key as errors name it."""
    namespace, key = split(stored)
    return f"{key!r} of {namespace!r}" if namespace else repr(key)
