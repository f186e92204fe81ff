"""What a cell tells the office of its calls: gathered, and sent again until it is in the office's file."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.store.office import Cached, Entry

from ..office import Report
from .errors import OfficeAway

GATHER: Final = 0.05
AGAIN: Final = 0.5
EACH: Final = 64
MOST_BYTES: Final = 512 * 1024
"""Of one report: a message has its limit."""
WAITING_MOST: Final = 10_000
"""Entries that may wait while the office is away; further calls wait for room."""
ROOM_EACH: Final = 800
"""Bytes of an entry or an answer beside its text."""
Send = Callable[[Report], Awaitable[object]]


class Reporter:
    """Of one cell. `run` in a task of its own."""

    def __init__(
        self, send: Send, *, epoch: int, clock: Clock, idle: Callable[[], list[int]], refused: Callable[[str], None]
    ) -> None:
        """`idle` says which leases go back; `refused` hears of what the office will not have."""
        self._send, self._epoch, self._clock, self._idle, self._refused = send, epoch, clock, idle, refused
        self._entries: list[Entry] = []
        self._answers: list[Cached] = []
        self._back: list[int] = []
        self._sending = False
        self._wake = anyio.Event()
        self._changed = anyio.Event()

    @property
    def waiting(self) -> int:
        """Entries that the office does not have yet."""
        return len(self._entries)

    def put(self, entry: Entry, answer: Cached | None = None) -> None:
        """Have an entry of the ledger told, and the answer that is to be given again."""
        self._entries.append(entry)
        if answer is not None:
            self._answers.append(answer)
        self._wake.set()

    async def room(self) -> None:
        """Wait while too much waits: nobody spends what cannot be written down."""
        while len(self._entries) >= WAITING_MOST:
            await self._changed.wait()

    async def flushed(self) -> None:
        """Wait until the office has all that was put before."""
        while self._entries or self._back or self._sending:
            self._wake.set()
            await self._changed.wait()

    async def run(self) -> None:
        """Tell the office, until cancelled."""
        while True:
            with anyio.move_on_after(1.0):
                await self._wake.wait()
            self._wake = anyio.Event()
            self._back += self._idle()
            if self._entries or self._back:
                await self._clock.sleep(GATHER)
                await self._tell()

    async def _tell(self) -> None:
        each = EACH
        while self._entries or self._back:
            report = self._portion(each)
            self._sending = True
            try:
                await self._send(report)
            except OfficeAway:
                await self._clock.sleep(AGAIN)
                continue
            except CallboardError as error:
                if each > 1:
                    each = 1  # one of them is refused: which one?
                    continue
                self._refused(f"the office refuses {report.entries[:1] or report.back}: {error.text}")
            finally:
                self._sending = False
            each = EACH
            self._forget(report)

    def _portion(self, each: int) -> Report:
        size, entries, answers = 0, list[Entry](), list[Cached]()
        for entry in self._entries[:each]:
            size += len(entry.raw) + ROOM_EACH
            if entries and size > MOST_BYTES:
                break
            entries.append(entry)
        for answer in self._answers[:each]:
            size += len(answer.body) + ROOM_EACH
            if answers and size > MOST_BYTES:
                break
            answers.append(answer)
        last = len(entries) == len(self._entries)  # a lease does not go back before its last call is settled
        back = tuple(self._back) if last else ()
        return Report(epoch=self._epoch, entries=tuple(entries), answers=tuple(answers), back=back)

    def _forget(self, report: Report) -> None:
        del self._entries[: len(report.entries)], self._answers[: len(report.answers)], self._back[: len(report.back)]
        self._changed.set()
        self._changed = anyio.Event()
