"""What a nats-server writes: its last words, and whom it refuses.

Of that nobody else hears: there is no event for it, and who was refused, and lies, does not tell.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

LOG_MOST: Final = 10_000_000
"""Bytes of a log; one that is larger begins anew, so that who is refused without end does not fill the disk."""
_TAIL_BYTES: Final = 8192
_TAIL_LINES: Final = 12
_WHO: Final = re.compile(r'jwt:(U[A-Z2-7]{55})"')
_WHAT: Final = re.compile(r' - (Publish|Subscription) Violation - Subject "([^"]*)"')
_LIMIT: Final = re.compile(r" - (maximum [a-z ]+|Maximum [a-zA-Z ]+) ?[Ee]xceeded")


class Refusal(msgspec.Struct, frozen=True):
    """One thing that somebody tried."""

    user: str
    """A public key; empty: the line does not say."""
    verb: str
    """``publish``, ``subscribe``, or ``exceed``."""
    what: str
    """The subject, or the limit."""


def refusals_in(lines: Iterable[str]) -> Iterator[Refusal]:
    """Yield what the server has refused, in order."""
    for line in lines:
        who = _WHO.search(line)
        if found := _WHAT.search(line):
            verb = "publish" if found[1] == "Publish" else "subscribe"
            yield Refusal(who[1] if who else "", verb, found[2])
        elif found := _LIMIT.search(line):
            yield Refusal(who[1] if who else "", "exceed", found[1].strip().lower())


class ServerLog:
    """The file to which a server's output is appended. Its methods block on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = self._read_to = 0

    def begin(self, size: int) -> None:
        """Take note that a server starts to write where the file has `size` bytes."""
        self._start = self._read_to = size

    def tail(self) -> str:
        """Return the last lines, twelve at most, since :meth:`begin`."""
        with self.path.open("rb") as file:
            file.seek(max(self._start, self.path.stat().st_size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join("".join(filter(str.isprintable, line)) for line in lines)

    def new_lines(self) -> list[str]:
        """Return the whole lines that are new since the last call, of one part of the file at most."""
        size = self.path.stat().st_size
        if size < self._read_to:
            self._start = self._read_to = 0
        if size == self._read_to:
            return []
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            whole = file.read(LOG_MOST).rpartition(b"\n")[0]
        self._read_to += len(whole) + 1 if whole else 0
        if size > LOG_MOST:  # it is only appended to, so what is written meanwhile comes after
            os.truncate(self.path, 0)
            self._start = self._read_to = 0
        return whole.decode(errors="replace").splitlines()
