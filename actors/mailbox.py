"""One actor's mailbox: bounded, shared by its replicas, with a control lane that passes a full one.

Full means `most` messages or `most_bytes` bytes. A question to a full mailbox is refused at once with its depth; a tell
is only sent under credit, and if many senders together still pass the bound, it is refused too and counted.
"""

from collections import deque
from typing import Final, cast

import msgspec

from callboard.once import Turn

from .letter import Letter
from .run import Run

MOST: Final = 10_000
MOST_BYTES: Final = 64 * 1024 * 1024
NOTICES_MOST: Final = 1000
_NONE: "Final[deque[Letter | Run]]" = deque()
"""For a mailbox that never held a letter: an empty deque of its own is three quarters of a kibibyte."""


class MailboxStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a mailbox holds, and what it has refused so far."""

    depth: int
    bytes: int
    refused: int
    taken: int


class Mailbox:
    """First in, first out; those who wait for a message are served in order.

    What it holds are letters, and runs of messages that came together. A run that is worked through stays at the head
    until it is finished; how far it has come is counted when somebody asks. Who must see each message by itself has the
    runs taken apart.
    """

    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._letters = _NONE
        self._notices: list[Letter] = []
        self._runs = 0
        self._count = 0
        self._bytes = 0
        self._refused = 0
        self._taken = 0
        self._idle: list[Turn] = []
        self._paused = False
        self._dismissed = False
        self.closed = False
        self.interrupted = False
        """Whether who works through a run is to come back after the message in hand."""

    # --- in

    def put(self, letter: Letter) -> bool:
        """Take a letter in; return False when the mailbox is full or closed."""
        if not self._reserve(1, letter.size):
            self._refused += 1
            return False
        self._append(letter)
        self._wake(1)
        return True

    def put_run(self, run: Run) -> bool:
        """Take a run in as a whole; return False when there is not room for all of it."""
        count = run.end - run.at
        if not self._reserve(count, run.size):
            return False
        self._append(run)
        self._runs += 1
        self._wake(count)
        return True

    def _append(self, work: "Letter | Run") -> None:
        if self._letters is _NONE:
            self._letters = deque()
        self._letters.append(work)

    def _reserve(self, count: int, size: int) -> bool:
        """Count so much more in if it fits; return whether it does."""
        if self.closed:
            return False
        self._catch_up()
        if self._count + count > self._most or self._bytes + size > self._most_bytes:
            return False
        self._count += count
        self._bytes += size
        return True

    def put_notice(self, letter: Letter) -> bool:
        """Take in a word of the runtime's own, which passes a full mailbox; False when closed or 1,000 such wait."""
        if self.closed or len(self._notices) >= NOTICES_MOST:
            self._refused += 1
            return False
        self._notices.append(letter)
        self._mark()
        self._wake(1)
        return True

    def _wake(self, count: int) -> None:
        idle = self._idle
        while idle and count > 0 and not self._paused:
            idle.pop(0).set()
            count -= 1

    # --- out

    def take_nowait(self) -> Letter | None:
        """Return the next letter, or None if there is none to be had now."""
        work = self.work_nowait()
        if not isinstance(work, Run):
            return work
        letter = work.letter(work.at)
        work.at += 1
        self.finish(work)
        return letter

    def work_nowait(self) -> "Letter | Run | None":
        """Return the next letter, or the run at the head, which stays there until it is finished."""
        if self._paused or self._dismissed:
            return None
        if self._notices:
            self._taken += 1
            letter = self._notices.pop(0)
            self._mark()
            return letter
        if not self._letters:
            return None
        work = self._letters[0]
        if isinstance(work, Run):
            return work
        self._letters.popleft()
        self._count -= 1
        self._bytes -= work.size
        self._taken += 1
        return work

    def finish(self, run: Run) -> None:
        """Let go of a run if nothing of it is left."""
        if self._letters and self._letters[0] is run:
            self._catch_up()
            if run.at >= run.end:
                self._letters.popleft()
                self._runs -= 1

    async def take(self) -> Letter | None:
        """Return the next letter, waiting for one; None to one who is dismissed, or once the mailbox is closed."""
        while (letter := self.take_nowait()) is None and not (self.closed or self._dismissed):
            await self._wait()
        return letter

    async def work(self) -> "Letter | Run | None":
        """Return the next letter or run, as :meth:`take` does; for one who alone takes from here."""
        while (work := self.work_nowait()) is None and not (self.closed or self._dismissed):
            await self._wait()
        return work

    async def _wait(self) -> None:
        turn = Turn()
        self._idle.append(turn)
        try:
            await turn.wait()
        except BaseException:
            self._pass_on(turn)
            raise

    def _pass_on(self, turn: Turn) -> None:
        if turn in self._idle:
            self._idle.remove(turn)
        elif self._letters or self._notices:
            self._wake(1)

    def _wake_all(self) -> None:
        self._wake(len(self._idle))

    # --- each by itself

    def _catch_up(self) -> None:
        """Count what was taken of the run at the head."""
        if self._letters and isinstance(run := self._letters[0], Run) and run.at != run.counted:
            self._count -= run.at - run.counted
            self._bytes -= run.bytes_until(run.at) - run.bytes_until(run.counted)
            self._taken += run.at - run.counted
            run.counted = run.at

    def take_apart(self) -> "deque[Letter]":
        """Turn all runs into letters; who works through one stops there. Return all that waits."""
        if not self._runs:
            return cast("deque[Letter]", self._letters)
        self._catch_up()
        letters: deque[Letter] = deque()
        for each in self._letters:
            letters.extend(each.rest() if isinstance(each, Run) else (each,))
        self._letters, self._runs = cast("deque[Letter | Run]", letters), 0
        self._count, self._bytes = len(letters), sum(letter.size for letter in letters)
        return letters

    def rotate(self, newer: int) -> None:
        """Move the first `newer` letters behind the rest: they came later than those that waited elsewhere."""
        self.take_apart().rotate(-newer)

    def remove(self, message_id: str) -> Letter | None:
        """Take out the letter with this id, if it still waits."""
        if self._runs and any(isinstance(each, Run) and each.holds(message_id) for each in self._letters):
            self.take_apart()
        for letter in self._letters:
            if isinstance(letter, Letter) and letter.envelope.id == message_id:
                self._letters.remove(letter)
                self._count -= 1
                self._bytes -= letter.size
                return letter
        return None

    def first(self) -> Letter | None:
        """Return the oldest letter without taking it. Takes all runs apart, as do the next two."""
        letters = self.take_apart()
        return letters[0] if letters else None

    def order(self) -> dict[str, int]:
        """Return how many others come before each that waits, by id."""
        return {letter.envelope.id: place for place, letter in enumerate(self.take_apart())}

    def ids(self) -> set[str]:
        """Return the ids of all that wait."""
        return {letter.envelope.id for letter in self.take_apart()}

    # --- open and shut

    def _mark(self) -> None:
        self.interrupted = self._paused or self._dismissed or self.closed or bool(self._notices)

    def pause(self) -> None:
        """Give nothing out until :meth:`resume`; letters are still taken in."""
        self._paused = True
        self._mark()

    def resume(self) -> None:
        """End a pause."""
        self._paused = False
        self._mark()
        self._wake_all()

    def dismiss(self) -> None:
        """Send away all who take letters, and who comes for one, until :meth:`recall`; letters are still taken in."""
        self._dismissed = True
        self._mark()
        while self._idle:
            self._idle.pop(0).set()

    def recall(self) -> None:
        """End a dismissal: others will come for letters."""
        self._dismissed = False
        self._mark()

    def clear(self) -> list[Letter]:
        """Return what waited, and keep none of it."""
        left = list(self.take_apart())
        self._letters = _NONE
        self._notices.clear()
        self._count = self._bytes = 0
        self._mark()
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
        self._mark()

    def __len__(self) -> int:
        """Return how many messages wait."""
        self._catch_up()
        return self._count

    def statistics(self) -> MailboxStatistics:
        """Return counts."""
        self._catch_up()
        return MailboxStatistics(depth=self._count, bytes=self._bytes, refused=self._refused, taken=self._taken)
