"""The doors of an actor: what arrives is told apart, checked, and put in the mailbox or refused.

Three doors. The mailbox subject takes envelopes from cells. The front door takes bare JSON or msgpack maps from
outsiders, with least trust, and only where the actor is open. A topic takes events, with least trust too: bare JSON
cannot say how far its publisher believed what it acted on, and trust never rises. Control envelopes (cancel, holds) are
acted on at the door and so pass a full mailbox.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from callboard.bus import (
    TOPICS,
    VERSION,
    Batch,
    Delivery,
    Envelope,
    Format,
    Kind,
    MailboxFull,
    MessageRefused,
    Part,
    Trust,
    decode_body,
    encode,
    held_error,
    is_bare,
    parts_of,
    refuse,
    subjects,
)
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.ids import new_id

from .confinement import Confinement
from .errors import DoorCrowded
from .flight import Flight
from .letter import Letter
from .mailbox import Mailbox
from .run import Run
from .turnstile import Turnstile

BARE_MOST: Final = 256 * 1024
"""Bytes a bare message may have: people and other programs send questions, not archives."""


class Doorkeeper(Protocol):
    """What a door needs of its house."""

    name: str
    mailbox: Mailbox
    homes: Mapping[str, str]
    why_held: str
    flight: Flight
    fences: Mapping[str, int]
    confinement: Confinement
    clock: Clock
    turnstile: Turnstile

    @property
    def held(self) -> bool:
        """Whether it takes no messages now."""
        ...

    def judge(self, envelope: Envelope) -> None:
        """Raise MessageRefused for a body that does not fit its type, as far as that is known here."""
        ...

    def takes(self, tag: str, topic: str) -> bool:
        """Return whether there is a handler for this message, as an event of `topic` if that is not empty."""
        ...

    def legal(self, topic: str) -> str:
        """Return what it does take, for an error message."""
        ...

    def refuse(self, letter: Letter, error: CallboardError) -> None:
        """Answer and record a message that does not come in."""
        ...

    def cancel(self, message_id: str) -> None:
        """Stop caring for a message: its asker has gone."""
        ...

    def answer_holds(self, letter: Letter) -> None:
        """Say which of the named messages are here."""
        ...

    def answer_status(self, letter: Letter) -> None:
        """Say how far each of the named messages has come."""
        ...


class _Tagged(msgspec.Struct):
    type: str


_ORDINARY: Final = frozenset((int(Kind.TELL), int(Kind.ASK)))
_MOST_TRUST: Final = int(Trust.OWNER)
_SMALL_ARRAY: Final = 16
"""Elements from which on the head of a msgpack array has three bytes instead of one."""
_json_tag: Final = msgspec.json.Decoder(_Tagged)
_msgpack_tag: Final = msgspec.msgpack.Decoder(_Tagged)


class Door:
    """Receivers for the three kinds of subscription; each returns at once."""

    def __init__(self, house: Doorkeeper) -> None:
        self._house = house

    def from_cell(self, subject: str, data: bytes, _reply: str) -> None:
        """Take what a cell of the fleet says."""
        house, cell = self._house, subject.rpartition(".")[2]
        parts = parts_of(data)
        count = sum(part.count if isinstance(part, Batch) else 1 for part in parts)
        slot = house.flight.frame(house.name, cell, data, count)
        step = 1 if slot else 0  # a record without room has no slots
        for part in parts:
            if isinstance(part, Batch):
                self._take_batch(part, cell, slot)
                slot += step * part.count
            else:
                self._take(part, cell, slot)
                slot += step

    def _take(self, part: Part, cell: str, slot: int) -> None:
        if isinstance(part, MessageRefused):
            self._house.refuse(_nameless(cell, slot), part)
        elif isinstance(part, Envelope):
            trust = part.trust if part.trust < _MOST_TRUST else _MOST_TRUST
            until = self._house.clock.monotonic() + part.within if part.within else 0.0
            self._admit_from(Letter(part, cell, trust, len(memoryview(part.body)), "", "", slot, until))
        else:
            self._house.refuse(_nameless(cell, slot), MessageRefused("replies are not for a mailbox", path="$[0]"))

    def _take_batch(self, batch: Batch, cell: str, slot: int) -> None:
        """Put a batch into the mailbox as a whole where all of it may come in; else judge each message by itself."""
        house = self._house
        trust = batch.trust if batch.trust < _MOST_TRUST else _MOST_TRUST
        until = house.clock.monotonic() + batch.within if batch.within else 0.0
        size = len(memoryview(batch.bodies)) - (1 if batch.count < _SMALL_ARRAY else 3)
        run = Run(batch, cell, trust, size, slot, until, batch.count)
        if not (
            batch.kind in _ORDINARY
            and batch.epoch >= house.fences.get(cell, 0)
            and house.homes.get(batch.sender, cell) == cell
            and not house.held
            and not house.confinement.refused
            and house.takes(batch.type, "")
            and house.mailbox.put_run(run)
        ):
            for letter in run.rest():
                self._admit_from(letter)

    def _admit_from(self, letter: Letter) -> None:
        """Take in one message of a cell, if that cell's process is not replaced."""
        fence = self._house.fences.get(letter.cell, 0)
        if letter.envelope.epoch < fence:
            self._refuse_replaced(letter, fence)
        else:
            (self.admit if letter.envelope.kind in _ORDINARY else self._control)(letter)

    def _refuse_replaced(self, letter: Letter, fence: int) -> None:
        text = f"process {letter.envelope.epoch} of cell {letter.cell!r} was replaced by process {fence}"
        self._house.refuse(letter, MessageRefused(f"{text}: it may say nothing", path="$[15]"))

    def _control(self, letter: Letter) -> None:
        try:
            self._obey(letter)
        except MessageRefused as error:  # it costs itself alone, not the rest of its frame
            self._house.refuse(letter, error)

    def _obey(self, letter: Letter) -> None:
        house, kind = self._house, letter.envelope.kind
        if kind == Kind.CANCEL:
            house.cancel(letter.envelope.causation)
        elif kind == Kind.HOLDS:
            house.answer_holds(letter)
        elif kind == Kind.STATUS:
            house.answer_status(letter)
        else:
            house.refuse(letter, MessageRefused(f"kind {kind} is not for a mailbox", path="$[1]"))
            return
        house.flight.done(letter.slot)

    def objection(self, letter: Letter) -> CallboardError | None:
        """Return why a letter may not come in, if so; whether the house is held is another matter."""
        house, envelope = self._house, letter.envelope
        if letter.cell and house.homes.get(envelope.sender, letter.cell) != letter.cell:
            error = f"{envelope.sender!r} lives in cell {house.homes[envelope.sender]!r}, not in {letter.cell!r}"
            return MessageRefused(error, path="$[5]")
        if house.confinement.refused and (objection := house.confinement.objection(letter)):
            return objection
        if not house.takes(envelope.type, letter.topic):
            error = f"{house.name} takes {house.legal(letter.topic)}, not {envelope.type[:80]!r}"
            return MessageRefused(error, path="$.type")
        return None

    def admit(self, letter: Letter) -> None:
        """Put one letter into the mailbox, or refuse it."""
        house = self._house
        if house.held:
            house.refuse(letter, held_error(house.name, house.why_held))
        elif (error := self.objection(letter)) is not None:
            house.refuse(letter, error)
        elif not house.mailbox.put(letter):
            depth = len(house.mailbox)
            house.refuse(
                letter,
                MailboxFull(f"the mailbox of {house.name} is full: {depth} wait", actor=house.name, depth=depth),
            )

    def from_queue(self, delivery: Delivery) -> tuple[Letter, MessageRefused | None]:
        """Return the letter of a task, and what is wrong with it if it cannot be read."""
        now = self._house.clock.now()
        try:
            envelope, form = _open_task(delivery)
        except MessageRefused as error:
            envelope = Envelope(VERSION, Kind.TASK, "", 0, _id_of(delivery), "", trust=Trust.EXTERNAL)
            return Letter(
                envelope, delivery.cell, Trust.EXTERNAL, 0, receipt=delivery.receipt, delivery=delivery
            ), error
        topic = subjects.parse_work(delivery.subject).topic
        trust = Trust.EXTERNAL if form else min(envelope.trust, _MOST_TRUST)
        left = delivery.stored + envelope.within - now
        until = self._house.clock.monotonic() + left if envelope.within else 0.0
        letter = Letter(
            envelope, "" if topic else delivery.cell, trust, len(delivery.data), topic, form, receipt=delivery.receipt,
            tries=delivery.tries, delivery=delivery, until=until,
        )  # fmt: skip
        return letter, None

    def from_outside(self, _subject: str, data: bytes, reply: str) -> None:
        """Take one bare message; arrays, and so envelopes, are refused here."""
        if wait := self._house.turnstile.admit(self._house.clock.monotonic()):
            self._turn_away(data, reply, wait)
        else:
            self._bare(data, reply, "")

    def _turn_away(self, data: bytes, reply: str, wait: float) -> None:
        self._house.refuse(_unread(data, reply), self._crowded(wait))

    def _crowded(self, wait: float) -> DoorCrowded:
        text = f"too many come to the front door of {self._house.name}: there is room in {wait:.3f} s"
        return DoorCrowded(text, actor=self._house.name, wait=round(wait, 6))

    def task_from_outside(self, data: bytes, reply: str) -> tuple[Letter, CallboardError | None]:
        """Return a letter by which its sender is answered, and why the task may not be stored, if so."""
        letter, house = _unread(data, reply), self._house
        if wait := house.turnstile.admit(house.clock.monotonic()):
            return letter, self._crowded(wait)
        try:
            tag, body = _open_bare(data, letter.bare)
            written = Format.JSON if letter.bare == "json" else Format.MSGPACK
            letter = _with(letter, msgspec.structs.replace(letter.envelope, type=tag, format=written, body=body))
            if (error := self.objection(letter)) is None:
                house.judge(letter.envelope)
        except MessageRefused as refusal:
            return letter, refusal
        return letter, error

    def from_topic(self, subject: str, data: bytes, _reply: str) -> None:
        """Take one event of a topic."""
        topic = subject.split(".")[3]
        self._bare(data, "", topic)

    def _bare(self, data: bytes, reply: str, topic: str) -> None:
        form = _form_of(data)
        kind = Kind.ASK if reply else Kind.TELL
        try:
            tag, body = _open_bare(data, form)
        except MessageRefused as error:
            blank = Envelope(VERSION, kind, "", 0, new_id(), "", reply=reply)
            self._house.refuse(Letter(blank, "", Trust.EXTERNAL, len(data), topic, form), error)
            return
        made = new_id()
        written = Format.JSON if form == "json" else Format.MSGPACK
        envelope = Envelope(
            VERSION, kind, tag, 0, made, "", "", made, 1, reply=reply, trust=Trust.EXTERNAL, format=written, body=body
        )
        letter = Letter(envelope, "", Trust.EXTERNAL, len(data), topic, form)
        letter.slot = self._house.flight.letter(self._house.name, letter)
        self.admit(letter)


def _form_of(data: bytes) -> str:
    """Return how a bare message is written; what is neither is answered as msgpack."""
    return "json" if data[:1] == b"{" or data[:1].isspace() else "msgpack"


def _unread(data: bytes, reply: str) -> Letter:
    """Return a letter of an outsider that nobody has looked into."""
    blank = Envelope(VERSION, Kind.ASK if reply else Kind.TELL, "", 0, new_id(), "", reply=reply)
    return Letter(blank, "", Trust.EXTERNAL, len(data), "", _form_of(data))


def _with(letter: Letter, envelope: Envelope) -> Letter:
    return Letter(envelope, letter.cell, letter.trust, letter.size, letter.topic, letter.bare)


def _open_bare(data: bytes, form: str) -> tuple[str, msgspec.Raw]:
    if len(data) > BARE_MOST:
        raise MessageRefused(f"{len(data)} bytes: a bare message may have {BARE_MOST}", path="$")
    if not is_bare(data):
        raise MessageRefused("a bare message is a JSON object or a msgpack map with a 'type'", path="$")
    decoder: Any = _json_tag if form == "json" else _msgpack_tag
    tag: str = decode_body(decoder, data).type
    return tag, msgspec.Raw(encode(_text(data)) if form == "json" else data)


def _id_of(delivery: Delivery) -> str:
    """Return a name for a task that has none: the same at each delivery, and another if its queue was made anew."""
    return f"q-{delivery.number}-{delivery.stored:.6f}"


def _open_task(delivery: Delivery) -> tuple[Envelope, str]:
    """Return the envelope of a task, and its form if it is bare; raises MessageRefused."""
    data = delivery.data
    if not delivery.cell or delivery.feed == TOPICS:
        form = _form_of(data)
        tag, body = _open_bare(data, form)
        made = _id_of(delivery)
        written = Format.JSON if form == "json" else Format.MSGPACK
        return Envelope(
            VERSION, Kind.TASK, tag, 0, made, "", "", made, 1, trust=Trust.EXTERNAL, format=written, body=body
        ), form
    part = parts_of(data)[0]
    if isinstance(part, MessageRefused):
        raise part
    if not isinstance(part, Envelope) or part.kind != Kind.TASK or not part.id:
        raise MessageRefused("only tasks are kept in a queue, each by itself", path="$[1]")
    return part, ""


def task_in(delivery: Delivery) -> Envelope | None:
    """Return the envelope of a task; None if it cannot be read."""
    try:
        return _open_task(delivery)[0]
    except MessageRefused:
        return None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise refuse("not UTF-8", error) from error


def _nameless(cell: str, slot: int) -> Letter:
    return Letter(Envelope(VERSION, Kind.TELL, "", 0, new_id(), ""), cell, Trust.EXTERNAL, 0, slot=slot)
