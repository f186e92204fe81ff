"""Several messages that differ only in id and body, written and read as one.

What a small message costs is not its body but what stands around it: sixteen fields written, read and checked, and a
call of the codec for each. A batch has them once, for up to 128 messages, and its bodies are decoded in one call.
Measured on two cores, sender and receiver together: 2.6 and 3.3 microseconds a message before, 1.1 and 1.2 with it.

A sender has one *head* for all that it says of one kind to one actor because of one message; what it says in one loop
turn gathers in a *line*, which is sealed when the turn ends, when another head speaks to the same subject, or when it
is full. One message alone is sealed as an ordinary envelope. So order holds, and nothing waits for company.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from callboard.ids import new_id

from .envelope import ANSWERS, BATCH, EMPTY, VERSION, Answers, Batch, Envelope, Kind

BATCH_MOST: Final = 128
"""Messages in one batch: beyond that the gain flattens and latency grows."""
ASKS_MOST: Final = 32
"""Questions in one batch: fewer, so that the first are answered while others are still on their way. At 64 questions
in flight a third more answers a second than with 64 in a batch."""
BODY_MOST: Final = 16 * 1024
"""Bytes of a body that travels in company: what is larger gains nothing by it."""
BASE: Final = 30
"""Digits that the ids of a batch have in common, of 32."""
_HEAD_MOST: Final = 512
PLACES: Final = tuple(f"{place:02x}" for place in range(256))
"""The last two digits of an id in a batch."""
_REPLY: Final = int(Kind.REPLY)
_encode: Final = msgspec.msgpack.Encoder().encode


class Head(msgspec.Struct, eq=False, gc=False):
    """What messages have in common. Compared by identity: who speaks keeps one for each course."""

    address: str
    name: str
    """The actor's."""
    kind: int
    type: str
    schema: int
    sender: str
    causation: str
    correlation: str
    hops: int
    within: float
    trace: str
    trust: int
    reply: str
    format: int
    epoch: int
    lean: bool = True
    """Whether it is small enough for a batch: a foreign trace may be of any length."""
    most: int = 0
    """Messages in one batch of it."""
    line: "Line | None" = None
    """What was said with it in this turn and is not sealed yet."""

    def __post_init__(self) -> None:
        self.most = ASKS_MOST if self.kind == Kind.ASK else BATCH_MOST
        self.lean = len(self.type) + len(self.trace) + len(self.correlation) + len(self.causation) <= _HEAD_MOST

    def envelope(self, message_id: str, body: bytes) -> Envelope:
        """Return one message as an ordinary envelope."""
        return Envelope(
            VERSION, self.kind, self.type, self.schema, message_id, self.sender, self.causation, self.correlation,
            self.hops, self.within, self.trace, self.trust, self.reply, self.format, msgspec.Raw(body), self.epoch,
        )  # fmt: skip


class Line:
    """Messages with one head that wait for the end of the turn."""

    __slots__ = ("base", "bodies", "head", "size")

    def __init__(self, head: Head) -> None:
        self.head, self.base = head, new_id()[:BASE]
        self.bodies: list[bytes] = []
        self.size = 0

    def seal(self) -> bytes:
        """Return the bytes that travel; what is said with its head from now on is another line."""
        head, bodies = self.head, self.bodies
        head.line = None
        if len(bodies) == 1:
            return _encode(head.envelope(self.base + PLACES[0], bodies[0]))
        return _encode(
            Batch(
                BATCH, head.kind, head.type, head.schema, self.base, head.sender, head.causation, head.correlation,
                head.hops, head.within, head.trace, head.trust, head.reply, head.format, head.epoch, len(bodies),
                msgspec.Raw(array_of(bodies)),
            )
        )  # fmt: skip


class ReplyHead(msgspec.Struct, eq=False, gc=False):
    """What the replies of one type by one actor have in common."""

    type: str
    schema: int
    sender: str
    epoch: int
    address: str = ""
    """To whom they went last."""
    line: "ReplyLine | None" = None
    """What went there in this turn and is not sealed yet."""

    def envelope(self, question: str, body: bytes) -> Envelope:
        """Return one reply as an ordinary envelope."""
        return Envelope(
            VERSION, _REPLY, self.type, self.schema, new_id(), self.sender, question, body=msgspec.Raw(body),
            epoch=self.epoch,
        )  # fmt: skip


class ReplyLine:
    """Replies with one head to one inbox that wait for the end of the turn."""

    __slots__ = ("bodies", "head", "questions", "size")

    def __init__(self, head: ReplyHead) -> None:
        self.head = head
        self.questions: list[str] = []
        self.bodies: list[bytes] = []
        self.size = 0

    def seal(self) -> bytes:
        """Return the bytes that travel."""
        head, bodies = self.head, self.bodies
        if head.line is self:
            head.line = None
        if len(bodies) == 1:
            return _encode(head.envelope(self.questions[0], bodies[0]))
        raws = [msgspec.Raw(body) for body in bodies]
        return _encode(Answers(ANSWERS, head.type, head.schema, head.sender, 0, head.epoch, self.questions, raws))


def array_of(parts: Sequence[bytes]) -> bytes:
    """Return encoded values as one msgpack array."""
    return array_head(len(parts)) + b"".join(parts)


def array_head(count: int) -> bytes:
    """Return how a msgpack array of `count` begins."""
    return bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")


def is_sound(batch: Batch) -> bool:
    """Return whether a batch holds as many messages as it says, each with an id."""
    count = batch.count
    if not 0 < count <= BATCH_MOST or len(batch.base) != BASE:
        return False
    begin = memoryview(batch.bodies)[:3]
    return bytes(begin[: 1 if count < 16 else 3]) == array_head(count)


_raws: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])


def envelopes_of(batch: Batch) -> list[Envelope]:
    """Return the messages of a sound batch one by one."""
    return [envelope_at(batch, place, body) for place, body in enumerate(bodies_of(batch))]


def envelope_at(batch: Batch, place: int, body: msgspec.Raw) -> Envelope:
    """Return the message at one place of a batch."""
    return Envelope(
        VERSION, batch.kind, batch.type, batch.schema, id_at(batch, place), batch.sender, batch.causation,
        batch.correlation, batch.hops, batch.within, batch.trace, batch.trust, batch.reply, batch.format, body,
        batch.epoch,
    )  # fmt: skip


def id_at(batch: Batch, place: int) -> str:
    """Return the id of the message at one place of a batch."""
    return batch.base + PLACES[place]


def bodies_of(batch: Batch) -> list[msgspec.Raw]:
    """Return the bodies of a sound batch, undecoded; nothing for each where one is nested too deep to be skipped."""
    try:
        return _raws.decode(batch.bodies)
    except (msgspec.MsgspecError, RecursionError):
        return [EMPTY] * batch.count
