"""What the memory table holds, in memory: each key and its expiry in order of use, and the values used lately.

Only the database's thread adds, changes and removes, after each commit and in the order of commits. The event loop
looks a key up and moves it to the end of the order, each of which is one atomic step. So a reader never sees what is
not in the file, also when the writer was cancelled.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import NamedTuple


class Row(NamedTuple):
    """A row of the file; ``data`` is None if the value has to be read from there."""

    expires: float
    data: bytes | None


Listing = list[tuple[str, float]]
"""Keys and when they expire, the least recently used first."""


class Mirror:
    """The rows by key, the least recently used first. `resident` bounds the bytes of values, the table the keys."""

    def __init__(self, *, resident: int) -> None:
        self.loaded = False
        self.rows: OrderedDict[str, Row] = OrderedDict()
        self.soonest = math.inf
        """No row expires before that."""
        self._limit = resident
        self._bytes = 0
        self._resident: OrderedDict[str, None] = OrderedDict()
        """The keys whose values are here, in the order in which they came."""

    def load(self, listing: Iterable[tuple[str, float]]) -> None:
        """Take the file's keys and expiries over, in order of use; values are read when they are asked for."""
        self.rows = OrderedDict((key, Row(expires, None)) for key, expires in listing)
        self._bytes, self._resident = 0, OrderedDict()
        self.soonest = min((row.expires for row in self.rows.values()), default=math.inf)
        self.loaded = True

    def keep(self, written: Iterable[tuple[str, Row]]) -> None:
        """Hold what has been committed, as the most recently used."""
        rows = self.rows
        for key, row in written:
            self.fill(key, row)
            rows.move_to_end(key)

    def fill(self, key: str, row: Row) -> None:
        """Hold a row where it is in the order: its value was read from the file."""
        old, size = self.rows.get(key), len(row.data or b"")
        if size > self._limit:
            row, size = Row(row.expires, None), 0
        self.rows[key] = row
        if row.expires < self.soonest:
            self.soonest = row.expires
        if old is not None and old.data is not None:
            self._bytes -= len(old.data)
        else:
            self._resident[key] = None
        self._bytes += size
        if self._bytes > self._limit:
            self._make_room()

    def use(self, key: str) -> None:
        """Note that a row was used. For the event loop."""
        try:
            self.rows.move_to_end(key)
        except KeyError:
            return  # deleted this very moment

    def drop(self, key: str) -> None:
        """Forget a row that has been deleted."""
        old = self.rows.pop(key, None)
        self._resident.pop(key, None)
        if old is not None and old.data is not None:
            self._bytes -= len(old.data)

    def oldest(self, count: int) -> list[str]:
        """Return the least recently used keys."""
        while True:
            with suppress(RuntimeError):  # a reader moved one meanwhile
                return list(islice(self.rows, count))

    def expired(self, now: float) -> list[str]:
        """Return the keys of all rows that have expired."""
        if now < self.soonest:
            return []
        while True:
            with suppress(RuntimeError):
                rows = list(self.rows.items())
                break
        self.soonest = min((row.expires for _, row in rows if row.expires > now), default=math.inf)
        found = [key for key, row in rows if row.expires <= now]
        if found:
            self.soonest = now  # until they are gone
        return found

    def _make_room(self) -> None:
        while self._bytes > self._limit:
            key, _ = self._resident.popitem(last=False)
            row = self.rows[key]
            self._bytes -= len(row.data or b"")
            self.rows[key] = Row(row.expires, None)
