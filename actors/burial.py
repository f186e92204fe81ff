"""Messages on their way into the quarantine, whole, with all that is known of why.

A task is moved: it leaves its queue when the quarantine has it. A told or asked message that was refused is copied, so
that somebody can see what was sent; of those only the first hundred of a cell, reason and minute, since a peer that
sends nonsense sends much of it, and each is counted where it was refused anyway. What sender it names is its own claim.
"""

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec
from anyio.abc import TaskGroup

from callboard.bus import Kind, MessageRefused, encode, subjects
from callboard.errors import CallboardError
from callboard.printable import printable
from callboard.store import DeadLetter

from .errors import HandlerFailed
from .evidence import frames_of
from .letter import Letter

if TYPE_CHECKING:
    from .host import Host

STORE_WITHIN: Final = 5.0
COPIES_MOST: Final = 100
"""Refused messages that are copied for each sending cell, reason and minute."""
_MINUTE: Final = 60.0
_ROOM: Final = 1024


def in_words(error: BaseException) -> str:
    """Return what an error says, for the record."""
    return printable((error.text if isinstance(error, CallboardError) else f"{type(error).__name__}: {error}")[:500])


def letter_of(actor: str, letter: Letter, error: BaseException, *, died: float) -> DeadLetter:
    """Return a message as it goes into the quarantine; where it goes again stands in it once it is known."""
    envelope, known = letter.envelope, error if isinstance(error, CallboardError) else None
    return DeadLetter(
        id=envelope.id, actor=actor, type=envelope.type, trust=letter.trust,
        sender=envelope.sender or letter.cell or "outside", correlation=envelope.chain,
        causation=envelope.causation, reason=known.code if known else HandlerFailed.code, text=in_words(error),
        path=str(known.detail.get("path", "")) if known else "", stack=frames_of(error), tries=letter.tries,
        history=[in_words(error)], died=died, subject="", data=b"",
    )  # fmt: skip


class Burial:
    """For one actor."""

    def __init__(self, host: "Host", tasks: TaskGroup) -> None:
        self._host, self._queue, self._tasks = host, host.endpoint.bus.queue, tasks
        self._copied: Counter[tuple[str, str]] = Counter()
        self._minute = 0

    async def move(self, letter: Letter, error: BaseException, tries: int, history: list[str]) -> DeadLetter:
        """Put a task into the quarantine, from its queue; raises what a queue raises, and then it is where it was."""
        dead, delivery = self._made(letter, error), letter.delivery
        if delivery is not None:
            dead = msgspec.structs.replace(
                dead, tries=tries, history=history, stored=delivery.stored, number=delivery.number,
                subject=delivery.subject, data=delivery.data,
            )  # fmt: skip
        # By when and where it was stored, not by its id: one that is retried by hand and fails again is news, and the
        # server would take it for the same. Numbers alone are of several streams, which may be made anew.
        lane = "" if delivery is None else delivery.feed.name
        await self._store(dead, f"{dead.actor}.{lane}.{dead.number}.{dead.stored:.6f}.{tries}")
        return dead

    def keep_copy(self, letter: Letter, error: CallboardError) -> None:
        """Have a told or asked message copied that was refused because it does not fit its type."""
        if isinstance(error, MessageRefused) and letter.envelope.id and self._admit(letter, error):
            self._tasks.start_soon(self._copy, letter, error)

    def _admit(self, letter: Letter, error: CallboardError) -> bool:
        """Count a refused message; return whether it is still to be copied."""
        minute = int(self._host.clock.monotonic() / _MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._copied.clear()
        edge = (letter.cell, error.code)
        self._copied[edge] += 1
        return self._copied[edge] <= COPIES_MOST

    async def _copy(self, letter: Letter, error: CallboardError) -> None:
        try:
            dead = self._copy_of(letter, error)
            await self._store(dead, f"{dead.actor}.{dead.id}.copy")
        except CallboardError as fault:
            self._host.cell.report("copy-not-kept", self._host.name, fault.text, id=letter.envelope.id)

    def _copy_of(self, letter: Letter, error: CallboardError) -> DeadLetter:
        """Return a copy of a refused message; on ``retry`` it is stored as a task."""
        data = encode(msgspec.structs.replace(letter.envelope, kind=Kind.TASK, reply="", within=0.0))
        endpoint = self._host.endpoint
        subject = subjects.work(endpoint.fleet, self._host.name, lane="normal", sender=letter.cell or endpoint.cell)
        return msgspec.structs.replace(self._made(letter, error), subject=subject, data=data)

    def _made(self, letter: Letter, error: BaseException) -> DeadLetter:
        return letter_of(self._host.name, letter, error, died=self._host.clock.now())

    async def _store(self, dead: DeadLetter, name: str) -> None:
        endpoint = self._host.endpoint
        target, data = subjects.dead(endpoint.fleet, self._host.name, sender=endpoint.cell), encode(dead)
        if len(data) > self._host.endpoint.bus.max_payload - _ROOM:  # the message itself is what must not be lost
            data = encode(msgspec.structs.replace(dead, stack=[], history=dead.history[-1:]))
        await self._queue.store(target, data, id=f"dead.{name}", timeout=STORE_WITHIN)
