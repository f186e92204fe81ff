"""What a cell tells the office of its calls: gathered, and sent again until it is in the office's file."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
import msgspec

from callboard.clock import Clock
from callboard.errors import CallerError
from callboard.store.office import Cached, Entry

from ..office import Report
from .errors import OfficeAway

GATHER: Final = 0.05
"""Seconds in which more may come before a report is sent."""
AGAIN: Final = 0.5
"""Seconds until an office that is away is told again."""
EACH: Final = 64
"""Entries or answers of one report."""
LOOK: Final = 1.0
"""Seconds after which it looks for idle leases, though nobody woke it."""
MOST_BYTES: Final = 512 * 1024
"""Of one report: a message has its limit."""
WAITING_MOST: Final = 10_000
"""Entries that may wait while the office is away; further calls wait for room."""
T = TypeVar("T", Entry, Cached)
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
        self._lost = set[int]()
        """Leases of calls that the office never heard of: what they did cost is not to be free again."""
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

    def drop_answers(self, actor: str) -> None:
        """Let no answer of an actor be kept that was not told yet."""
        self._answers = [answer for answer in self._answers if answer.actor != actor]

    async def flushed(self) -> None:
        """Wait until the office has all that was put before."""
        while self._works():
            self._wake.set()
            await self._changed.wait()

    def _works(self) -> bool:
        return bool(self._entries or self._answers or self._back or self._sending)

    async def run(self) -> None:
        """Tell the office, until cancelled."""
        while True:
            with anyio.move_on_after(LOOK):
                await self._wake.wait()
            self._wake = anyio.Event()
            self._back += self._idle()
            if self._works():
                await self._clock.sleep(GATHER)
                await self._tell()

    async def _tell(self) -> None:
        """Tell all that waits: calls first, as money hangs on them, then answers, apart from them."""
        each = EACH
        while self._works():
            report = self._calls(each) if self._entries or self._back else self._kept(each)
            if await self._sent(report, alone=each == 1):
                self._forget(report)
                each = EACH
            else:
                each = 1  # one of them is refused: which one?

    async def _sent(self, report: Report, *, alone: bool) -> bool:
        """Return whether a report is done with: told, or by itself refused for good."""
        self._sending = True
        try:
            await self._send(report)
        except OfficeAway:
            await self._clock.sleep(AGAIN)
            return False
        except Exception as error:  # noqa: BLE001 - whatever an entry holds, the next ones must be told
            return alone and await self._given_up(report, error)
        finally:
            self._sending = False
        return True

    async def _given_up(self, report: Report, error: Exception) -> bool:
        """Return whether a report that holds one thing can never be told; a call is first told bare of all but money.

        Only what is wrong with the report itself ends it. Whatever else keeps the office from taking it may pass.
        """
        if report.entries and (bare := _bare(report.entries[0])) != report.entries[0]:
            self._entries[0] = bare  # what it did cost must be known, if not what it was
            return False
        if not isinstance(error, CallerError):
            self._entries = [*self._entries[1:], *self._entries[:1]]  # the others are not to wait for it
            await self._clock.sleep(AGAIN)
            return False
        self._lost |= {entry.lease for entry in report.entries}
        what = next((entry.id for entry in report.entries), "an answer or leases")
        self._refused(f"the office does not take {what}: {type(error).__name__}")
        return True

    def _calls(self, each: int) -> Report:
        entries = _some(self._entries, each)
        last = len(entries) == len(self._entries)  # a lease does not go back before its last call is settled
        back = tuple(lease for lease in self._back if lease not in self._lost) if last else ()
        return Report(epoch=self._epoch, entries=tuple(entries), back=back)

    def _kept(self, each: int) -> Report:
        return Report(epoch=self._epoch, answers=tuple(_some(self._answers, each)))

    def _forget(self, report: Report) -> None:
        told = set(map(id, report.answers))
        self._answers = [answer for answer in self._answers if id(answer) not in told]
        del self._entries[: len(report.entries)]
        self._back = [lease for lease in self._back if lease not in report.back and lease not in self._lost]
        self._changed.set()
        self._changed = anyio.Event()


def _some(items: list[T], each: int) -> list[T]:
    """Return the first of them that one message can carry, at least one."""
    size, taken = 0, list[T]()
    for item in items[:each]:
        size += len(msgspec.msgpack.encode(item))
        if taken and size > MOST_BYTES:
            break
        taken.append(item)
    return taken


def _bare(entry: Entry) -> Entry:
    """Return what money needs to know of a call, at its worst."""
    return Entry(
        id=entry.id, at=entry.at, actor=entry.actor, lease=entry.lease, cost=min(entry.cost, entry.worst),
        worst=entry.worst, how="failed", why="entry-refused",
    )  # fmt: skip
