"""One actor in its cell: the address it answers at, its mailbox, and what its replicas share.

The host outlives the actor objects: while a replica is restarted the mailbox keeps its letters, and when the actor ends
for good everything that still waits is answered with a typed error.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from anyio.abc import TaskGroup

from callboard.bus import (
    VERSION,
    Endpoint,
    Entry,
    Envelope,
    Kind,
    Receiver,
    Registry,
    StatusBody,
    Subscription,
    Trust,
    decode_body,
    encode,
    held_error,
    subjects,
)
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.ids import new_id
from callboard.store import ActorFile, Outcome, Touched, WorkingMemory

from .actor import Actor
from .burial import Burial
from .confinement import Confinement
from .context import Down
from .door import Door
from .errors import ActorStopped, BadActor, PermissionDenied
from .flight import Flight
from .grant import Grant
from .hand import InHand
from .letter import Letter
from .mailbox import Mailbox
from .message import fingerprint, tag_of
from .queue_door import QueueDoor
from .replies import Replies
from .row import Row, State
from .shortage import SHORTAGES
from .spec import ActorSpec
from .tasks import Tasks
from .turnstile import Turnstile
from .verdict import judge_hand
from .work import Work

if TYPE_CHECKING:
    from callboard.store.episodes import EpisodeFile

    from .llm.minds import Minds

STATUS_MOST: Final = 1000


class CellServices(Protocol):
    """What a host needs of its cell."""

    endpoint: Endpoint
    clock: Clock
    homes: Mapping[str, str]
    flight: Flight
    busy: dict[str, Work]
    """Those of its actors that have something in hand."""
    registry: Registry
    """Those of its actors that were spawned."""

    def report(self, kind: str, subject: str, text: str, **detail: str | int | float | bool | None) -> None:
        """Record an event with the supervisor, without waiting."""
        ...

    def quarantine(self, actor: str, letter: Letter, digest: str, history: list[str]) -> None:
        """Hand a message that failed too often to who keeps such, without waiting."""
        ...

    async def memory_of(self, actor: str) -> WorkingMemory:
        """Return the working memory of an actor of this cell."""
        ...

    async def file_of(self, actor: str) -> ActorFile:
        """Return the file of an actor of this cell."""
        ...

    def minds(self) -> "Minds":
        """Return what the actors of the cell share when they ask models."""
        ...

    async def episodes_of(self, actor: str) -> "EpisodeFile":
        """Return the long-term memory of an actor of this cell."""
        ...

    async def say_outcome(self, outcome: Outcome) -> Touched:
        """Tell all whom it concerns how a message turned out; raises OutcomeUnheard."""
        ...

    async def spawn(self, parent: "Host", actor: type[Actor], *, name: str, may: Grant | None) -> str:
        """Start a child of `parent`."""
        ...


class Host:
    """Everything of one actor that is not the actor object itself."""

    def __init__(self, spec: ActorSpec, cell: CellServices, *, parent: str = "") -> None:
        self.spec, self.cell, self.parent = spec, cell, parent
        self.name, self.grant, self.table = spec.name, spec.may, spec.actor.table
        self.endpoint, self.clock, self.homes, self.flight = cell.endpoint, cell.clock, cell.homes, cell.flight
        self.fences: Mapping[str, int] = cell.endpoint.fences
        self._give_credit = cell.endpoint.give_credit
        self.mailbox = Mailbox(most=spec.mailbox)
        self.replies = Replies(cell.endpoint, spec.name)
        self.answers_with = (*spec.actor.answers_with, *SHORTAGES)
        """Errors that reach who asked as they are, and are no failure of the actor."""
        self.state: State = "starting"
        self.why_held = ""
        self.confinement = Confinement(spec.name, clock=cell.clock, confine=cell.quarantine)
        self.work = Work(
            spec.name, stalled_after=spec.health.stalled_after, clock=cell.clock, flight=cell.flight, cell=cell,
            give_credit=cell.endpoint.give_credit, busy=cell.busy,
        )  # fmt: skip
        self.watched: set[str] = set()
        self.handled = self.failed = self.refused = self.restarts = 0
        self.last_error = ""
        self.id, self.began = new_id(), cell.clock.now()
        self._subscriptions: list[Subscription] = []
        self.turnstile = Turnstile(spec.door)
        self._door = Door(self)
        self._queue_door = QueueDoor(self.endpoint, self._door, self.replies, actor=self.name)
        self._entry: Entry | None = None
        self.tasks: Tasks | None = None
        """Its durable work; only actors of a fleet file have such."""
        self._burial: Burial | None = None
        self._holds_waiting: list[Letter] = []
        self._handed_over = True

    @property
    def held(self) -> bool:
        """Whether the actor takes no messages until it is revived."""
        return self.state == "held"

    # --- the address

    async def open(self) -> None:
        """Answer at the actor's address from now on."""
        door, front = self._door, subjects.front_door(self.endpoint.fleet, self.name)
        if self.endpoint.exchange is not None:  # before the server knows, or what is said here could take two ways
            self.endpoint.exchange.open_mailbox(front, door.from_cell)
        if self.parent:
            self._entry = Entry(door.from_cell, dict.fromkeys(self.table.topics, door.from_topic))
            await self.cell.registry.enter(self.name, self._entry)
        else:
            await self._listen(door)
        if self.spec.open:
            await self._subscribe(front, door.from_outside)
            await self._subscribe(subjects.work_door(self.endpoint.fleet, self.name), self._queue_door.from_outside)

    async def _listen(self, door: Door) -> None:
        """Have an interest in each of its addresses."""
        fleet = self.endpoint.fleet
        await self._subscribe(subjects.mailbox(fleet, self.name), door.from_cell)
        for topic in self.table.topics.keys() - set(self.table.kept):
            # The actor's name as queue: one copy for each actor, also while an old and a new incarnation overlap.
            await self._subscribe(subjects.topic(fleet, topic), door.from_topic, queue=self.name)

    async def _subscribe(self, subject: str, receiver: Receiver, *, queue: str = subjects.QUEUE) -> None:
        self._subscriptions.append(await self.endpoint.bus.subscribe(subject, receiver, queue=queue))

    def wait_for_handover(self) -> None:
        """Take letters in but give none out until :meth:`hand_over`: older ones are still with the understudy."""
        self._handed_over = False
        self.mailbox.pause()

    def hand_over(self, kept: list[Letter]) -> None:
        """Take what the understudy kept, before all that came here since; then begin."""
        newer = len(self.mailbox)
        for letter in kept:
            letter.slot = self.flight.letter(self.name, letter)
            self._door.admit(letter)
        self.mailbox.rotate(newer)
        self._handed_over = True
        for letter in self._holds_waiting:
            self.answer_holds(letter)
        self._holds_waiting.clear()
        self.mailbox.resume()

    async def close(self, why: str) -> None:
        """Leave the address and answer all that still waits with ActorStopped."""
        last, self.state = self.state == "draining", "stopped"
        await self.leave()
        gone = ActorStopped(f"{self.name} ended before it came to this message: {why}", actor=self.name)
        self.answer_all(gone, last=last)

    async def leave(self) -> None:
        """Answer at the address no longer; what is in the mailbox stays."""
        if self.endpoint.exchange is not None:
            front = subjects.front_door(self.endpoint.fleet, self.name)
            self.endpoint.exchange.close(front, self._door.from_cell)
        if self.tasks is not None:
            await self.tasks.close()
        if self._entry is not None:
            await self.cell.registry.leave(self.name, self._entry)
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        self._subscriptions.clear()

    def answer_all(self, error: CallboardError, *, last: bool = False) -> None:
        """Close the mailbox and answer everything that waits in it with `error`; `last`: the process ends with it."""
        self.answer(self.mailbox.close(), error, last=last)

    def give_back_tasks(self, letters: list[Letter]) -> list[Letter]:
        """Hand the tasks among letters that were taken out of the mailbox back; return the others."""
        if self.tasks is not None:
            for letter in reversed(letters):  # each goes to the head of its line
                if letter.receipt:
                    self.tasks.take_back(letter)
        return [letter for letter in letters if not letter.receipt]

    def answer(self, letters: list[Letter], error: CallboardError, *, last: bool = False) -> None:
        """Answer letters that were taken out of the mailbox with `error`; tasks go back to where they came from."""
        for letter in self.give_back_tasks(letters):
            self.settle_credit(letter)
            self.replies.fail(letter, error)
            if not (last and letter.envelope.kind == _TELL):
                self.flight.done(letter.slot)  # else its process ends, and the autopsy names it

    def hold(self, why: str = "") -> None:
        """Take no messages until :meth:`revive`; what waits is answered with Held. What is in hand goes on."""
        self.state, self.why_held = "held", why
        if self.tasks is not None:
            self.tasks.pause()
        self.answer(self.mailbox.clear(), held_error(self.name, why))

    def revive(self) -> None:
        """Take messages again."""
        self.state = "restarting"
        self.mailbox.reopen()
        if self.tasks is not None:
            self.tasks.resume()

    def take_tasks(self, tasks: TaskGroup) -> None:
        """Take durable work from the actor's queue, in `tasks`."""
        self._burial = Burial(self, tasks)
        self.tasks = Tasks(self, self._door, self._burial, tasks)
        self.tasks.start()

    # --- at the door

    def judge(self, envelope: Envelope) -> None:
        """Raise MessageRefused for a body that does not fit its type."""
        self.table.direct[envelope.type].reader.read(envelope)

    def takes(self, tag: str, topic: str) -> bool:
        """Return whether there is a handler for this message."""
        return tag in (self.table.topics.get(topic, {}) if topic else self.table.direct)

    def legal(self, topic: str) -> str:
        """Return what this actor takes."""
        routes = self.table.topics.get(topic, {}) if topic else self.table.direct
        return ", ".join(sorted(routes)) or "no messages"

    def refuse(self, letter: Letter, error: CallboardError) -> None:
        """Answer and record a message that does not come in, or does not fit its type."""
        self.refused += 1
        if letter.receipt and self.tasks is not None:
            self.tasks.failed(letter, error)
        else:
            self.settle_credit(letter)
            self.replies.fail(letter, error)
            self.flight.done(letter.slot)
            if self._burial is not None:
                self._burial.keep_copy(letter, error)
        envelope = letter.envelope
        self.cell.report(
            "message-refused", self.name, error.text, code=error.code,
            sender=envelope.sender or letter.cell or "outside", id=envelope.id, type=envelope.type[:80],
            path=str(error.detail.get("path", "")),
        )  # fmt: skip

    def settle_credit(self, letter: Letter) -> None:
        """Give the credit of a tell back: it has left the mailbox."""
        envelope = letter.envelope
        if envelope.kind == _TELL and envelope.reply and not letter.bare:
            self._give_credit(envelope.reply, self.name, letter.size)

    def cancel(self, message_id: str) -> None:
        """Stop a message that nobody waits for any more."""
        if self.tasks is not None and message_id in self.tasks.intake.held:
            return  # a task is nobody's to take back
        if (letter := self.mailbox.remove(message_id)) is not None:
            self.flight.done(letter.slot)
        elif (hand := self.work.hands().get(message_id)) and hand.letter.envelope.kind == Kind.ASK:
            hand.leave("its asker has gone", self.clock.monotonic())

    def answer_holds(self, letter: Letter) -> None:
        """Say which of the messages named in `letter` are in the mailbox or in hand."""
        if self.held:
            self.replies.fail(letter, held_error(self.name, self.why_held))
            return
        asked: list[str] = decode_body(_names, letter.envelope.body)
        if not self._handed_over:
            self._holds_waiting.append(letter)
            return
        here = self.mailbox.ids() | self.work.hands().keys()
        self.replies.plain(letter, [name for name in asked if name in here])

    def answer_status(self, letter: Letter) -> None:
        """Say how far each of the messages named in `letter` has come."""
        asked: list[str] = decode_body(_names, letter.envelope.body)
        order = self.mailbox.order() if asked else {}
        self.replies.plain(letter, [self._status(name, order) for name in asked[:STATUS_MOST]])

    def _status(self, name: str, order: Mapping[str, int]) -> StatusBody:
        if (hand := self.work.hands().get(name)) is not None:
            seconds = self.clock.monotonic() - hand.since
            return StatusBody(name, "in hand", 0, seconds, hand.activity())
        return StatusBody(name, "queued", order[name]) if name in order else StatusBody(name, "unknown")

    # --- what a context may ask for

    @property
    def private(self) -> bool:
        """Whether it may be heard by nobody who is not marked for what is sensitive."""
        return self.spec.private

    def minds(self) -> "Minds":
        """Return what the actors of the cell share when they ask models."""
        return self.cell.minds()

    async def open_memory(self) -> WorkingMemory:
        """Return this actor's working memory."""
        return await self.cell.memory_of(self.name)

    async def open_episodes(self) -> "EpisodeFile":
        """Return this actor's long-term memory."""
        return await self.cell.episodes_of(self.name)

    async def say_outcome(self, outcome: Outcome) -> Touched:
        """Tell all whom it concerns how a message turned out."""
        return await self.cell.say_outcome(outcome)

    async def spawn(self, actor: type[Actor], *, name: str, may: Grant | None) -> str:
        """Start a child of this actor."""
        return await self.cell.spawn(self, actor, name=name, may=may)

    def denied(self, error: PermissionDenied) -> None:
        """Record what this actor tried and may not."""
        verb, name = str(error.detail.get("verb", "")), str(error.detail.get("name", ""))
        self.cell.report("permission-denied", self.name, error.text, code=error.code, verb=verb, name=name)

    def watch(self, name: str) -> None:
        """Send Down to this actor when `name` goes down."""
        if tag_of(Down) not in self.table.direct:
            raise BadActor(f"{self.name} watches {name!r} but has no handler for Down", actor=self.name)
        self.watched.add(name)

    def saw_down(self, name: str, why: str) -> None:
        """Put a Down into the mailbox of this actor, which watches `name`."""
        envelope = _down(Down(actor=name, why=why))
        self.mailbox.put_notice(Letter(envelope, self.endpoint.cell, envelope.trust, 0))

    def row(self) -> Row:
        """Return how it stands with this actor."""
        now = self.clock.monotonic()
        hands = sorted(self.work.hands().values(), key=lambda hand: hand.since)
        return Row(
            actor=self.name, state=self._shown_state(hands, now), depth=len(self.mailbox),
            in_hand=[hand.letter.envelope.type for hand in hands], in_hand_for=now - hands[0].since if hands else 0.0,
            doing=hands[0].activity() if hands else "", handled=self.handled, failed=self.failed,
            refused=self.refused, restarts=self.restarts,
        )  # fmt: skip

    def _shown_state(self, hands: list[InHand], now: float) -> State:
        if self.state != "running" or not hands:
            return self.state
        goings = {judge_hand(hand, now=now, stalled_after=self.spec.health.stalled_after).going for hand in hands}
        return "stalled" if "stalled" in goings else "waiting" if goings == {"waiting"} else "running"


def _down(message: Down) -> Envelope:
    """Return the runtime's own word as an envelope; it carries no reply address, so no credit is owed for it."""
    made = new_id()
    body = msgspec.Raw(encode(message))
    return Envelope(
        VERSION, Kind.TELL, tag_of(Down), fingerprint(Down), made, "", "", made, 1, trust=Trust.OWNER, body=body
    )


_TELL: Final = int(Kind.TELL)
_ASK: Final = int(Kind.ASK)
_names: Final = msgspec.msgpack.Decoder(list[str])
