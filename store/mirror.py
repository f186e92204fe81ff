"""What the memory table holds, in memory: each key and its expiry, and the values used lately.

Only the database's thread changes it, after each commit and in the order of commits; the event loop only
looks a key up, which is one atomic step. So a reader never sees what is not in the file, also when the writer
was cancelled.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """A row of the file; ``data`` is None if the value has to be read from there."""

    expires: float
    data: bytes | None


class Mirror:
    """The rows by key. `resident` bounds the bytes of values held; the table bounds the keys."""

    def __init__(self, *, resident: int) -> None:
        self.loaded = False
        self.rows: dict[str, Row] = {}
        self._limit = resident
        self._bytes = 0
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def load(self, listing: Iterable[tuple[str, float]]) -> None:
        """Take the file's keys and expiries over, once."""
        if not self.loaded:
            self.rows = {key: Row(expires, None) for key, expires in listing}
            self.loaded = True

    def keep(self, key: str, row: Row) -> None:
        """Hold what has been committed or read; older values make room for it."""
        self._forget(key)
        if row.data is not None and len(row.data) <= self._limit:
            self._make_room(len(row.data))
            self._sizes[key] = len(row.data)
            self._bytes += len(row.data)
            self.rows[key] = row
        else:
            self.rows[key] = Row(row.expires, None)

    def drop(self, key: str) -> None:
        """Forget a row that has been deleted."""
        self._forget(key)
        self.rows.pop(key, None)

    def _forget(self, key: str) -> None:
        self._bytes -= self._sizes.pop(key, 0)

    def _make_room(self, needed: int) -> None:
        while self._sizes and self._bytes + needed > self._limit:
            oldest, size = self._sizes.popitem(last=False)
            self._bytes -= size
            self.rows[oldest] = Row(self.rows[oldest].expires, None)
