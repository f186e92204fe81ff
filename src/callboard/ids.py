"""Unique ids that sort by time and cannot be guessed.

An id is 32 hex digits: 48 bits of Unix milliseconds, then 80 random bits (the layout of a ULID). The random part
matters: a reply is matched by the id of its question, so who was not asked must not be able to answer. Random bytes
are drawn from the system 4 KiB at a time, which keeps one id below half a microsecond.
"""

import os
import time
from typing import Final

_BLOCK: Final = 4096
_TAIL: Final = 10


class Ids:
    """A source of ids; one for each process is enough. Not thread-safe."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = _BLOCK

    def new(self) -> str:
        """Return a new id, later in order than ids made in an earlier millisecond."""
        if self._at > len(self._pool) - _TAIL:
            self._pool, self._at = os.urandom(_BLOCK), 0
        tail = self._pool[self._at : self._at + _TAIL]
        self._at += _TAIL
        return f"{int(time.time() * 1000):012x}{tail.hex()}"


_ids = Ids()
new_id = _ids.new
