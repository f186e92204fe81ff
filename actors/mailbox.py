"""One actor's mailbox: bounded, shared by its replicas, with a control lane that passes a full one.

Full means `most` messages or `most_bytes` bytes. A question to a full mailbox is refused at once with its depth; a tell
is only sent under credit, and if many senders together still pass the bound, it is refused too and counted.
"""

from collections import deque
from typing import Final

import anyio
import msgspec

from callboard.bus import Envelope

MOST: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024
NOTICES_MOST: Final = 1000


class Letter(msgspec.Struct, gc=False):
    """An envelope in a mailbox, with what its door said of it."""

    envelope: Envelope
    cell: str
    """The sending cell; empty for the front door."""
    trust: int
    size: int
    """Bytes it takes in the mailbox and of its sender's credit."""
    topic: str = ""
    bare: str = ""
    """``json`` or ``msgpack`` for a bare message; its reply is bare too."""
    slot: int = 0
    """Where the flight record of this process has it; means nothing to another."""
    until: float = 0.0
    """When nobody waits for it any more; 0.0: nobody said. Monotonic seconds of this machine: the wall clock jumps."""


class MailboxStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a mailbox holds, and what it has refused so far."""

    depth: int
    bytes: int
    refused: int
    taken: int


class Mailbox:
    """First in, first out; those who wait for a message are served in order."""

    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._letters: deque[Letter] = deque()
        self._notices: deque[Letter] = deque()
        self._bytes = 0
        self._refused = 0
        self._taken = 0
        self._idle: deque[anyio.Event] = deque()
        self._paused = False
        self._dismissed = False
        self.closed = False

    def put(self, letter: Letter) -> bool:
        """Take a letter in; return False when the mailbox is full or closed."""
        if self.closed or len(self._letters) >= self._most or self._bytes + letter.size > self._most_bytes:
            self._refused += 1
            return False
        self._letters.append(letter)
        self._bytes += letter.size
        if self._idle and not self._paused:
            self._idle.popleft().set()
        return True

    def rotate(self, newer: int) -> None:
        """Move the first `newer` letters behind the rest: they came later than those that waited elsewhere."""
        self._letters.rotate(-newer)

    def put_notice(self, letter: Letter) -> bool:
        """Take in a word of the runtime's own, which passes a full mailbox; False when closed or 1,000 such wait."""
        if self.closed or len(self._notices) >= NOTICES_MOST:
            self._refused += 1
            return False
        self._notices.append(letter)
        if self._idle and not self._paused:
            self._idle.popleft().set()
        return True

    def take_nowait(self) -> Letter | None:
        """Return the next letter, or None if there is none to be had now."""
        if self._paused or self._dismissed:
            return None
        if self._notices:
            letter = self._notices.popleft()
        elif self._letters:
            letter = self._letters.popleft()
            self._bytes -= letter.size
        else:
            return None
        self._taken += 1
        return letter

    async def take(self) -> Letter | None:
        """Return the next letter, waiting for one; None to one who is dismissed, or once the mailbox is closed."""
        while (letter := self.take_nowait()) is None and not (self.closed or self._dismissed):
            turn = anyio.Event()
            self._idle.append(turn)
            try:
                await turn.wait()
            except BaseException:
                self._pass_on(turn)
                raise
        return letter

    def _pass_on(self, turn: anyio.Event) -> None:
        if turn in self._idle:
            self._idle.remove(turn)
        elif (self._letters or self._notices) and self._idle:
            self._idle.popleft().set()

    def _wake_all(self) -> None:
        while self._idle and not self._paused:
            self._idle.popleft().set()

    def remove(self, message_id: str) -> Letter | None:
        """Take out the letter with this id, if it still waits."""
        for letter in self._letters:
            if letter.envelope.id == message_id:
                self._letters.remove(letter)
                self._bytes -= letter.size
                return letter
        return None

    def first(self) -> Letter | None:
        """Return the oldest letter without taking it."""
        return self._letters[0] if self._letters else None

    def order(self) -> dict[str, int]:
        """Return how many others come before each that waits, by id."""
        return {letter.envelope.id: place for place, letter in enumerate(self._letters)}

    def ids(self) -> set[str]:
        """Return the ids of all that wait."""
        return {letter.envelope.id for letter in self._letters}

    def pause(self) -> None:
        """Give nothing out until :meth:`resume`; letters are still taken in."""
        self._paused = True

    def resume(self) -> None:
        """End a pause."""
        self._paused = False
        self._wake_all()

    def dismiss(self) -> None:
        """Send away all who take letters, and who comes for one, until :meth:`recall`; letters are still taken in."""
        self._dismissed = True
        while self._idle:
            self._idle.popleft().set()

    def recall(self) -> None:
        """End a dismissal: others will come for letters."""
        self._dismissed = False

    def clear(self) -> list[Letter]:
        """Return what waited, and keep none of it."""
        left = list(self._letters)
        self._letters.clear()
        self._notices.clear()
        self._bytes = 0
        return left

    def close(self) -> list[Letter]:
        """Take and give nothing more; return what still waited."""
        self.closed, self._paused = True, False
        left = self.clear()
        self._wake_all()
        return left

    def reopen(self) -> None:
        """Take letters in again after :meth:`close`."""
        self.closed = False

    def __len__(self) -> int:
        """Return how many letters wait."""
        return len(self._letters)

    def statistics(self) -> MailboxStatistics:
        """Return counts."""
        return MailboxStatistics(depth=len(self._letters), bytes=self._bytes, refused=self._refused, taken=self._taken)
