"""What is in quarantine, as commands ask for it: messages that were taken away whole, and contents that are refused."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from callboard.actors import Message
from callboard.bus import parts_of
from callboard.errors import CallerError
from callboard.store import DeadLetter, Quarantined

from .autopsy import shown
from .persons import Command
from .records import Records
from .undertaker import Undertaker

LISTED: Final = 200
SHOWN_MOST: Final = 256 * 1024
"""Bytes of a message that are shown: the rest is kept, and goes again when it is retried."""


class NotInQuarantine(CallerError):
    """No message in quarantine, or more than one, has the id that was given."""


class ListDead(Message):
    """``callboard dead ls``."""

    limit: int = LISTED


class ShowDead(Message):
    """``callboard dead show ID``: the beginning or the end of an id, or of a digest, is enough."""

    which: str


class RetryDead(Command):
    """``callboard dead retry ID…``."""

    which: list[str]


class DropDead(Command):
    """``callboard dead drop ID…``; of a content that is refused: let it through again."""

    which: list[str]


class DeadRow(Message):
    """A message in quarantine, or a content that is refused. Times in Unix seconds."""

    id: str
    """Of the message; of a content its digest."""
    what: str
    """``task``: a message, taken away whole; ``content``: what is refused whoever sends it."""
    actor: str
    kind: str
    """The message's type."""
    sender: str
    reason: str
    text: str
    tries: int
    at: float
    until: float = 0.0
    """Of a content: when it may come in again."""
    path: str = ""
    correlation: str = ""
    causation: str = ""
    history: tuple[str, ...] = ()
    stack: tuple[str, ...] = ()
    body: str = ""
    """As JSON, for people."""


class Dead(Message):
    """What is in quarantine, the newest first."""

    rows: list[DeadRow]
    letters: int = 0
    """How many messages there are, also those not shown."""
    dropped: int = 0
    """How many there was no room for, since ever."""


def content_row(row: Quarantined) -> DeadRow:
    """Return a refused content for people."""
    return DeadRow(
        id=row.digest, what="content", actor=row.actor, kind=row.type, sender=row.sender, reason=row.reason,
        text=row.history[-1] if row.history else "", tries=len(row.history), history=tuple(row.history), at=row.at,
        until=row.until, body=shown(row.body),
    )  # fmt: skip


def letter_row(letter: DeadLetter, *, whole: bool) -> DeadRow:
    """Return a message for people; `whole`: with its body, its history and its stack."""
    row = DeadRow(
        id=letter.id, what="task", actor=letter.actor, kind=letter.type, sender=letter.sender, reason=letter.reason,
        text=letter.text, tries=letter.tries, at=letter.died, path=letter.path, correlation=letter.correlation,
        causation=letter.causation,
    )  # fmt: skip
    if not whole:
        return row
    return msgspec.structs.replace(
        row, history=tuple(letter.history), stack=tuple(letter.stack), body=_body_of(letter.data)
    )


def _body_of(data: bytes) -> str:
    if data[:1] == b"{":
        return data[:SHOWN_MOST].decode(errors="replace")
    part = parts_of(data)[0]
    return shown(getattr(part, "body", data), most=SHOWN_MOST)


class DeadDesk:
    """Answers commands about the quarantine. `release` lets a content through again, and says so."""

    def __init__(self, records: Records, undertaker: Undertaker, release: Callable[[str], Awaitable[str]]) -> None:
        self._records, self._undertaker, self._release = records, undertaker, release

    async def listing(self, limit: int) -> Dead:
        """Return what is in quarantine."""
        letters = await self._records.dead.latest(max(1, min(limit, LISTED)))
        count, dropped = await self._records.dead.count()
        contents = [content_row(row) for row in await self._records.quarantine.all()]
        rows = [*(letter_row(letter, whole=False) for letter in letters), *contents]
        return Dead(rows=sorted(rows, key=lambda row: -row.at), letters=count, dropped=dropped)

    async def show(self, which: str) -> Dead:
        """Return all that is known of what the id names."""
        letters = [letter_row(letter, whole=True) for letter in await self._records.dead.find(which)]
        contents = [content_row(row) for row in await self._records.quarantine.all() if row.digest.startswith(which)]
        return Dead(rows=[*letters, *contents])

    async def retry(self, which: list[str]) -> str:
        """Store messages again where they came from; raises NotInQuarantine, and what ``enqueue`` does."""
        letters = [await self._find(each) for each in which]
        await self._undertaker.retry(letters)
        return f"{len(letters)} stored again"

    async def drop(self, which: list[str]) -> str:
        """Forget messages, and let contents through again; raises NotInQuarantine."""
        lines: list[str] = []
        for each in which:
            if each and any(row.digest.startswith(each) for row in await self._records.quarantine.all()):
                lines.append(await self._release(each))
                continue
            letter = await self._find(each)
            await self._records.dead.drop([letter])
            await self._records.add("task-dropped", letter.actor, f"{letter.type} {letter.id}: by hand")
            lines.append(f"{letter.type} {letter.id} of {letter.actor} is forgotten")
        return "\n".join(lines)

    async def _find(self, which: str) -> DeadLetter:
        found = await self._records.dead.find(which) if which else []
        if len(found) != 1:
            text = f"{len(found)} messages in quarantine have {which!r} at the beginning or end of their id, not one"
            raise NotInQuarantine(f"{text}: see 'callboard dead ls'", which=which)
        return found[0]
