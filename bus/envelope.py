"""The envelope: what the runtime knows of a message without opening it (docs/adr/0002-wire.md)."""

from enum import IntEnum
from typing import Annotated, Final

import msgspec

VERSION: Final = 1
BATCH: Final = 2
ANSWERS: Final = 3
"""How what travels begins: one message, several with one head, several replies."""
EMPTY: Final = msgspec.Raw(b"\xc0")  # msgpack nil


class Kind(IntEnum):
    """What an envelope is for."""

    TELL = 1
    ASK = 2
    REPLY = 3
    ERROR = 4
    CANCEL = 5
    CREDIT = 6
    HOLDS = 7
    WHERE = 8
    NOTICE = 9
    STATUS = 10
    TASK = 11


class Trust(IntEnum):
    """How far a message is believed; it only ever falls on the way."""

    EXTERNAL = 0
    INTERNAL = 1
    OWNER = 2


class Format(IntEnum):
    """How the body is written."""

    MSGPACK = 0
    JSON = 1


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message on its way. See the ADR for each field; new ones go to the end and have a default."""

    version: int
    kind: int
    type: str
    schema: int
    id: str
    sender: str
    causation: str = ""
    correlation: str = ""
    hops: int = 0
    within: float = 0.0
    """Seconds for which its sender waits, from its sending on; 0: it does not say. Clocks jump, and differ."""
    trace: str = ""
    trust: int = Trust.INTERNAL
    reply: str = ""
    format: int = Format.MSGPACK
    body: msgspec.Raw = EMPTY
    epoch: int = 0
    key: str = ""
    """Of a task: the conversation that it belongs to."""
    delay: float = 0.0
    """Of a task: seconds from its storing on before which it is not begun."""

    @property
    def chain(self) -> str:
        """The id of the first message of its chain: its own, if nothing else is said."""
        return self.correlation or self.id


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Several messages of one sender that differ only in id and body. Written and read by :mod:`.batch`."""

    version: int
    kind: int
    type: str
    schema: int
    base: str
    """The ids of its messages, but for their last two digits, which say the place."""
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
    count: int
    bodies: msgspec.Raw
    """An array of `count`."""


class Answers(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Several replies of one type, by one actor to one asking cell."""

    version: int
    type: str
    schema: int
    sender: str
    format: int
    epoch: int
    questions: list[str]
    bodies: list[msgspec.Raw]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is read of a reply."""

    type: str
    schema: int
    format: int
    body: msgspec.Raw
    doubted: bool = False
    """Whether who answered has recalled what came from outside: then who asked is believed no more than that."""


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as it travels."""

    code: str
    text: str
    detail: dict[str, str | int | float | bool | None] = {}


class CreditBody(msgspec.Struct, frozen=True, array_like=True):
    """Credit given back to who told: so many messages and bytes of `actor` have been taken."""

    actor: str
    messages: Annotated[int, msgspec.Meta(ge=0)]
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class StatusBody(msgspec.Struct, frozen=True):
    """How far a message has come: ``queued`` with `ahead` others before it, or ``in hand`` for `seconds`."""

    id: str
    state: str
    ahead: int = 0
    seconds: float = 0.0
    doing: str = ""


class NoticeBody(msgspec.Struct, frozen=True):
    """What happened to an actor.

    ``down``: its process died, and with it what it held. ``gap``: it was cut off and may have missed messages.
    ``crashed``: it is restarted in place; its mailbox lives, and what it had in hand was answered. ``held``, ``up``,
    ``ended``: its address refuses, serves again, is given up.
    """

    actor: str
    what: str
    why: str = ""
    epoch: int = 0
    cell: str = ""
    """With ``fence``: the cell of which only `epoch` and later ones are believed from now on."""
    more: list[str] = []
    """Others to whom the same happened: those who were spawned in one cell."""

    @property
    def actors(self) -> list[str]:
        """All to whom it happened."""
        return [self.actor, *self.more] if self.actor else self.more
