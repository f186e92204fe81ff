"""What a nats-server writes: its last words, and whom it refuses.

Of that nobody else hears: there is no event for it, and who was refused, and lies, does not tell.
"""

import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

LOG_MOST: Final = 10_000_000
"""Bytes of a log; one that is larger begins anew, so that who is refused without end does not fill the disk."""
_TAIL_BYTES: Final = 8192
_TAIL_LINES: Final = 12
# The name that a client gives itself stands before who it is, and may look like anything; but it is within the server's
# quotes, so that each quote of its own is escaped.
_WHO: Final = r'(?<!\\)" - "[^"\\]*/jwt:(U[A-Z2-7]{55})" - '
_WHAT: Final = re.compile(_WHO + r'(Publish|Subscription) Violation - Subject "((?:[^"\\]|\\.)*)"')
_LIMIT: Final = re.compile(_WHO + r"(maximum [a-z ]+) exceeded")


class Refusal(msgspec.Struct, frozen=True):
    """One thing that somebody tried."""

    user: str
    """A public key."""
    verb: str
    """``publish``, ``subscribe``, or ``exceed``."""
    what: str
    """The subject, or the limit."""


def refusals_in(lines: Iterable[str]) -> Iterator[Refusal]:
    """Yield what the server has refused, in order."""
    for line in lines:
        if found := _WHAT.search(line):
            yield Refusal(found[1], "publish" if found[2] == "Publish" else "subscribe", found[3])
        elif found := _LIMIT.search(line):
            yield Refusal(found[1], "exceed", found[2])


class ServerLog:
    """The file to which a server's output is appended. Its methods block on the disk, and any thread may call them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = self._read_to = 0
        self._turn = threading.Lock()

    def begin(self, size: int) -> None:
        """Take note that a server starts to write where the file has `size` bytes."""
        with self._turn:
            self._start = self._read_to = size

    def tail(self) -> str:
        """Return the last lines, twelve at most, since :meth:`begin`."""
        with self.path.open("rb") as file:
            file.seek(max(self._start, self.path.stat().st_size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join("".join(filter(str.isprintable, line)) for line in lines)

    def new_lines(self) -> list[str]:
        """Return the whole lines that are new since the last call, of one part of the file at most."""
        with self._turn:
            return self._new_lines()

    def _new_lines(self) -> list[str]:
        size = self.path.stat().st_size
        if size < self._read_to:
            self._start = self._read_to = 0
        if size == self._read_to:
            return []
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            whole = file.read(LOG_MOST).rpartition(b"\n")[0]
        self._read_to += len(whole) + 1 if whole else 0
        if size > LOG_MOST:  # what is written between the read and this is lost: a line or two of ten million bytes
            os.truncate(self.path, 0)
            self._start = self._read_to = 0
        return whole.decode(errors="replace").splitlines()
