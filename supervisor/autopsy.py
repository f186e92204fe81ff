"""What a dead cell held, and what is done about it: each question answered, each lost tell named.

Read from its flight record after the process is confirmed dead. A question whose handler had begun may have been done
in part (``ran``); one that only waited was not begun, and can be asked again without a second thought.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from callboard.actors import Letter, Owed, Replies
from callboard.bus import ActorDied, Endpoint, Kind

NAMED_MOST: Final = 100
_KINDS: Final = {int(kind): kind.name.lower() for kind in Kind}
BODY_MOST: Final = 500


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One message that a dead cell held."""

    actor: str
    status: str
    kind: str
    type: str
    id: str
    sender: str
    received: float
    """Unix seconds."""
    bytes: int
    body: str
    """The beginning of it, for people."""


class Autopsy(msgspec.Struct, frozen=True, kw_only=True):
    """How a cell died, and what it held."""

    cell: str
    epoch: int
    pid: int
    at: float
    """Unix seconds."""
    why: str
    place: str = ""
    stack: list[str] = []
    answered: int = 0
    """Questions answered with ActorDied."""
    lost: int = 0
    """Tells that nobody will handle."""
    known: bool = True
    """Whether there was a flight record of that process."""
    unwritten: int = 0
    """Messages since its start that its flight record had no room for: a full disk."""
    items: list[Item] = []
    """At most 100 of them, those in hand first."""

    def in_hand(self) -> list[Item]:
        """Return what a handler had begun."""
        return [item for item in self.items if item.status == "in hand"]

    def lost_tells(self) -> list[Item]:
        """Return the tells that nobody will handle."""
        return [item for item in self.items if item.kind == "tell"]

    def story(self) -> str:
        """Return in one line what was held and what became of it."""
        if not self.known:
            return "it has left no flight record: it had not begun to serve, or the file was taken away"
        hand = ", ".join(f"{item.type} …{item.id[-8:]} of {item.actor}" for item in self.in_hand()[:5])
        told = ", ".join(f"{item.type} {item.id}" for item in self.lost_tells()[:5])
        parts = [
            f"in hand: {hand}" if hand else "nothing in hand",
            f"{self.answered} questions answered with ActorDied" if self.answered else "",
            f"of {self.unwritten} messages nothing is known: its flight record had no room" if self.unwritten else "",
            f"{self.lost} tells lost: {told}{' …' if self.lost > 5 else ''}" if self.lost else "",
        ]
        return "; ".join(part for part in parts if part)


def settle_death(owed: Iterable[Owed], endpoint: Endpoint, *, why: str) -> tuple[int, int]:
    """Answer each question that was held, foreign callers' too; return how many, and how many tells are lost.

    Tasks are handed back to their queues, so that the next life has them at once.
    """
    answered = lost = 0
    for each in owed:
        if each.letter.receipt:
            endpoint.bus.queue.again(each.letter.receipt, 0.0)
            continue
        replies = Replies(endpoint, each.actor)
        if replies.waits(each.letter):
            ran = each.status != "queued"
            text = (
                f"{each.actor} died {'with this message in hand' if ran else 'before it came to this message'}: {why}"
            )
            replies.fail(each.letter, ActorDied(text, actor=each.actor, ran=ran))
            answered += each.status != "answered"
        elif each.letter.envelope.kind == Kind.TELL:
            lost += 1
    return answered, lost


def items_of(owed: Iterable[Owed]) -> list[Item]:
    """Return the messages for the record, those in hand first."""
    ordered = sorted(owed, key=lambda each: each.status != "in hand")
    return [_item(each) for each in ordered[:NAMED_MOST]]


def _item(owed: Owed) -> Item:
    letter: Letter = owed.letter
    envelope = letter.envelope
    return Item(
        actor=owed.actor, status=owed.status, kind=_KINDS.get(envelope.kind, "other"), type=envelope.type,
        id=envelope.id, sender=envelope.sender or letter.cell or "outside", received=owed.at, bytes=letter.size,
        body=shown(letter.envelope.body),
    )  # fmt: skip


def shown(body: "bytes | msgspec.Raw", *, most: int = BODY_MOST) -> str:
    """Return the beginning of a body as JSON, for people; what is none, as bytes."""
    try:
        plain = msgspec.msgpack.decode(body)
        text = plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, TypeError, ValueError):
        text = repr(bytes(body))
    return text[:most]
