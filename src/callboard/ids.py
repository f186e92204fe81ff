"""Unique ids that sort by time and cannot be guessed.

An id is 32 hex digits: 48 bits of Unix milliseconds, then 80 random bits (the layout of a ULID). The random part
matters: a reply is matched by the id of its question, so who was not asked must not be able to answer. The random
digits of 400 ids are drawn from the system at a time, and the time is written once a millisecond: a third of a
microsecond for each id instead of half of one, which is a tenth of a tell.
"""

import os
import time
from typing import Final

_TAIL: Final = 10
_BLOCK: Final = 400 * _TAIL


class Ids:
    """A source of ids; one for each process is enough. Not thread-safe."""

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0
        self._millisecond = -1
        self._head = ""

    def new(self) -> str:
        """Return a new id, later in order than ids made in an earlier millisecond."""
        begin = self._at
        if begin == len(self._pool):
            self._pool, begin = os.urandom(_BLOCK).hex(), 0
        self._at = end = begin + 2 * _TAIL
        millisecond = int(time.time() * 1000)
        if millisecond != self._millisecond:
            self._millisecond, self._head = millisecond, f"{millisecond:012x}"
        return self._head + self._pool[begin:end]


_ids = Ids()
new_id = _ids.new
