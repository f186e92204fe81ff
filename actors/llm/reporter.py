"""What a cell tells the office of its calls: gathered, and sent again until it is in the office's file."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import anyio
import msgspec

from callboard.clock import Clock
from callboard.errors import CallerError
from callboard.names import OFFICE
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
ANSWERS_MOST: Final = 16 * 1024 * 1024
"""Bytes of answers that may wait; further ones are not told, as they can be asked for again."""
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
        self._answer_bytes = 0
        self._told_full = False
        self._back: list[int] = []
        self._lost = set[int]()
        """Leases of calls that the office never heard of: what they did cost is not to be free again."""
        self._stuck = list[Entry]()
        self._stuck_back = list[int]()
        """Calls and leases that the office failed to take: told again after all others."""
        self._sending = False
        self._wake = anyio.Event()
        self._changed = anyio.Event()

    def put(self, entry: Entry, answer: Cached | None = None) -> None:
        """Have an entry of the ledger told, and the answer that is to be given again.

        While too much waits, what cost nothing is not written down, and answers are kept here alone.
        """
        if entry.cache == "hit" and self._full:
            self._say_full()
            return
        self._entries.append(entry)
        if answer is not None and self._answer_bytes + len(answer.body) <= ANSWERS_MOST:
            self._answers.append(answer)
            self._answer_bytes += len(answer.body)
        self._wake.set()

    @property
    def _full(self) -> bool:
        return len(self._entries) + len(self._stuck) >= WAITING_MOST

    def _say_full(self) -> None:
        if not self._told_full:
            self._told_full = True
            self._refused(
                f"{WAITING_MOST} calls wait for the office: answers given again are not written down until then"
            )

    def _keep(self, answers: Iterable[Cached]) -> None:
        self._answers = list(answers)
        self._answer_bytes = sum(len(answer.body) for answer in self._answers)

    async def room(self, *, within: float) -> None:
        """Wait while too much waits: nobody spends what cannot be written down. Raises OfficeAway after `within` s."""
        with anyio.move_on_after(max(within, 0.0)):
            while self._full:
                await self._changed.wait()
            return
        raise OfficeAway("more is to be written into the ledger than may wait", actor=OFFICE)

    def drop_answers(self, actor: str) -> None:
        """Let no answer of an actor be kept that was not told yet."""
        self._keep(answer for answer in self._answers if answer.actor != actor)
        self._has_changed()

    async def flushed(self) -> None:
        """Wait until the office has all that was put before, but for what it would not take."""
        while self._works():
            self._wake.set()
            await self._changed.wait()

    def free(self, leases: Iterable[int]) -> list[int]:
        """Return those of the leases that no call names whose cost is still to be told."""
        named = {entry.lease for entry in (*self._entries, *self._stuck)} | self._lost
        return [lease for lease in leases if lease not in named]

    def _works(self) -> bool:
        return bool(self._entries or self._answers or self.free(self._back) or self._sending)

    async def run(self) -> None:
        """Tell the office, until cancelled."""
        while True:
            with anyio.move_on_after(LOOK):
                await self._wake.wait()
            self._wake = anyio.Event()
            self._back += [*self._idle(), *self._stuck_back]
            self._entries += self._stuck
            self._stuck, self._stuck_back = [], []
            if self._works():
                await self._clock.sleep(GATHER)
                await self._tell()

    async def _tell(self) -> None:
        """Tell all that waits: calls first, as money hangs on them, then answers, apart from them."""
        each = EACH
        while self._works():
            report = self._calls(each) if self._entries or self.free(self._back) else self._kept(each)
            if await self._sent(report, alone=each == 1):
                self._forget(report)
                each = min(2 * each, EACH)
            else:
                each = max(1, each // 8)  # one of them is refused: which one?
        self._has_changed()

    async def _sent(self, report: Report, *, alone: bool) -> bool:
        """Return whether a report is done with: told, or by itself refused."""
        self._sending = True
        try:
            await self._send(report)
        except OfficeAway:
            await self._clock.sleep(AGAIN)
            self._entries = [*self._entries[1:], *self._entries[:1]]  # it may be one that it cannot write
            return False
        except Exception as error:  # noqa: BLE001 - whatever an entry holds, the next ones must be told
            return alone and self._given_up(report, error)
        finally:
            self._sending = False
        return True

    def _given_up(self, report: Report, error: Exception) -> bool:
        """Return whether a report that holds one thing is done with; a call is first told bare of all but money.

        What is wrong with the report itself ends it. Whatever else keeps the office from taking it may pass, and the
        others do not wait for that.
        """
        if report.entries and (bare := _bare(report.entries[0])) != report.entries[0]:
            self._entries[0] = bare  # what it did cost must be known, if not what it was
            return False
        if not isinstance(error, CallerError) and not report.answers:
            self._stuck += report.entries
            self._stuck_back += report.back
            return True
        self._lost |= {entry.lease for entry in report.entries}
        what = next((entry.id for entry in report.entries), "an answer or leases")
        self._refused(f"the office does not take {what}: {type(error).__name__}")
        return True

    def _calls(self, each: int) -> Report:
        """Return a report of calls, and of leases: none goes back before its last call is settled."""
        entries = _some(self._entries, each)
        named = {entry.lease for entry in (*self._entries[len(entries) :], *self._stuck)} | self._lost
        back = tuple(lease for lease in self._back if lease not in named)
        return Report(epoch=self._epoch, entries=tuple(entries), back=back if len(entries) != 1 or each > 1 else ())

    def _kept(self, each: int) -> Report:
        return Report(epoch=self._epoch, answers=tuple(_some(self._answers, each)))

    def _forget(self, report: Report) -> None:
        told = set(map(id, report.answers))
        if told:
            self._keep(answer for answer in self._answers if id(answer) not in told)
        del self._entries[: len(report.entries)]
        self._told_full = self._told_full and self._full
        self._back = [lease for lease in self._back if lease not in report.back and lease not in self._lost]
        self._has_changed()

    def _has_changed(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _some(items: list[T], each: int) -> list[T]:
    """Return the first of them that one message can carry, at least one."""
    size, taken = 0, list[T]()
    for item in items[:each]:
        size += _size(item)
        if taken and size > MOST_BYTES:
            break
        taken.append(item)
    return taken


def _size(item: Entry | Cached) -> int:
    try:
        return len(msgspec.msgpack.encode(item))
    except (msgspec.MsgspecError, UnicodeError, OverflowError):
        return MOST_BYTES  # it is told by itself, and refused


def _bare(entry: Entry) -> Entry:
    """Return what money needs to know of a call, at its worst."""
    return Entry(
        id=entry.id, at=entry.at, actor=entry.actor, lease=entry.lease, cost=min(entry.cost, entry.worst),
        worst=entry.worst, how="failed", why="entry-refused",
    )  # fmt: skip
