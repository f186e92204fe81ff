"""What was recalled for which message: counted in memory, and written down together, before anybody asks."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from .outcomes import recounted
from .table import number_of

WAITING_MOST: Final = 10_000


class Counts:
    """Recalls that are not yet in the file. What is beyond the bound is counted, but no longer by message."""

    def __init__(self) -> None:
        self._returned: Counter[int] = Counter()
        self._by_message: dict[tuple[str, int], None] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._returned)

    def returned(self, message: str, numbers: Sequence[int]) -> None:
        """Count what a recall gave."""
        self._returned.update(numbers)
        if message and len(self._by_message) < WAITING_MOST:
            self._by_message.update(dict.fromkeys((message, number) for number in numbers))

    def join(self, other: "Counts") -> None:
        """Take over what could not be written."""
        self._returned.update(other._returned)  # noqa: SLF001 - of our own class
        self._by_message.update(other._by_message)  # noqa: SLF001 - the same

    def write(self, conn: sqlite3.Connection, now: float) -> None:
        """Write it down."""
        conn.executemany(
            "UPDATE episodes SET returned = returned + ? WHERE number = ?",
            [(count, number) for number, count in self._returned.items()],
        )
        sql = "INSERT OR IGNORE INTO recalls (message, episode, at) SELECT ?, number, ? FROM episodes WHERE number = ?"
        for message, pairs in groupby(sorted(self._by_message), key=itemgetter(0)):
            with recounted(conn, message):
                conn.executemany(sql, [(message, now, number) for _, number in pairs])

    @staticmethod
    def use(conn: sqlite3.Connection, message: str, ids: Iterable[str], now: float) -> None:
        """Note that episodes were made use of for a message, once each."""
        with recounted(conn, message):
            for number in [number_of(conn, id) for id in ids]:  # noqa: A001 - the field's own name
                if number is not None:
                    _use(conn, message, number, now)


def _use(conn: sqlite3.Connection, message: str, number: int, now: float) -> None:
    conn.execute("INSERT OR IGNORE INTO recalls (message, episode, at) VALUES (?, ?, ?)", (message, number, now))
    sql = "UPDATE recalls SET used = 1 WHERE message = ? AND episode = ? AND used = 0"
    if conn.execute(sql, (message, number)).rowcount:
        conn.execute("UPDATE episodes SET used = used + 1 WHERE number = ?", (number,))
