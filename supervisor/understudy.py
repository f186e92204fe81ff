"""Who answers at an actor's address while the actor cannot.

*Restarting*: up to 1,000 messages are kept, in order, for the next incarnation. *Held*: each is refused at once. The
understudy listens in the same queue as the actor, so that a message is never with both.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from callboard.actors import (
    NO_FLIGHT,
    ActorSpec,
    ActorStopped,
    Confinement,
    Door,
    Flight,
    Letter,
    Mailbox,
    QueueDoor,
    Replies,
    Turnstile,
)
from callboard.bus import Endpoint, Envelope, Kind, MailboxFull, StatusBody, Subscription, decode_body, encode, subjects
from callboard.errors import CallboardError

KEEP: Final = 1000
KEEP_BYTES: Final = 64 * 1024 * 1024
PAGE_BYTES: Final = 512 * 1024
_names: Final = msgspec.msgpack.Decoder(list[str])


class Understudy:
    """Stands in for one actor."""

    def __init__(self, endpoint: Endpoint, spec: ActorSpec, *, homes: Mapping[str, str]) -> None:
        self.name, self.homes = spec.name, homes
        self.turnstile = Turnstile(spec.door)
        self.why_held = ""
        """Why it refuses everything, in words for who speaks to it; empty while it keeps."""
        self.flight: Flight = NO_FLIGHT
        self.confinement = Confinement(spec.name, clock=endpoint.clock, confine=lambda *_: None)
        """Empty: what a message is, the next incarnation will judge."""
        self.fences: Mapping[str, int] = endpoint.fences
        self.clock = endpoint.clock
        self.lost = 0
        """Tells that came when 1,000 waited already; nobody waits for them, so they are counted and recorded."""
        self.mailbox = Mailbox(most=KEEP, most_bytes=KEEP_BYTES)
        self.mailbox.pause()
        self._endpoint, self.open_door = endpoint, spec.open
        self._replies = Replies(endpoint, spec.name)
        self._subscriptions: list[Subscription] = []
        self._credit: list[tuple[str, int]] = []
        """Of tells that were refused while it was down; bounded by what their senders had."""

    @property
    def held(self) -> bool:
        """Whether it refuses everything."""
        return bool(self.why_held)

    @property
    def listens(self) -> bool:
        """Whether it answers at the address."""
        return bool(self._subscriptions)

    async def take_over(self) -> None:
        """Answer at the address from now on; returns when the server knows. Once more is no harm."""
        if not self._subscriptions:
            await self._listen()
        await self._endpoint.bus.flush()

    async def _listen(self) -> None:
        door, fleet, bus = Door(self), self._endpoint.fleet, self._endpoint.bus
        self._subscriptions = [
            await bus.subscribe(subjects.mailbox(fleet, self.name), door.from_cell, queue=subjects.QUEUE)
        ]
        if self.open_door:
            front = subjects.front_door(fleet, self.name)
            self._subscriptions.append(await bus.subscribe(front, door.from_outside, queue=subjects.QUEUE))
            tasks = QueueDoor(self._endpoint, door, self._replies, actor=self.name)
            queue = subjects.work_door(fleet, self.name)
            self._subscriptions.append(await bus.subscribe(queue, tasks.from_outside, queue=subjects.QUEUE))

    async def give_back(self) -> None:
        """Leave the address to the new incarnation; after this nothing more is taken in."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            await subscription.unsubscribe()
        self._return_credit()
        await self._endpoint.bus.flush()

    def take_back(self, letters: list[Letter]) -> None:
        """Keep older letters, before those that came here meanwhile; those that are too many are refused."""
        newer = len(self.mailbox)
        full = MailboxFull(f"{self.name} is down, and {KEEP} messages wait for it already", actor=self.name)
        for letter in letters:
            letter.slot = 0
            if not self.mailbox.put(letter):
                self.refuse(letter, full)
        self.mailbox.rotate(newer)

    def letters(self) -> list[Letter]:
        """Return all that is kept, which stays."""
        return list(self.mailbox.take_apart())

    def page(self) -> tuple[list[Letter], bool]:
        """Take out the oldest letters, as many as one reply can carry; and whether more are left."""
        letters: list[Letter] = []
        size = 0
        while (letter := self.mailbox.first()) is not None:
            size += len(encode(letter))
            if letters and size > PAGE_BYTES:
                return letters, True
            letters.append(letter)
            self.mailbox.remove(letter.envelope.id)
        return letters, False

    def hold(self, why: str) -> None:
        """Refuse everything from now on, and what was kept."""
        self.why_held = why
        left = self.mailbox.close()
        self.mailbox.reopen()
        self.mailbox.pause()
        for letter in left:
            Door(self).admit(letter)

    # --- as a door sees its house

    def judge(self, envelope: Envelope) -> None:
        """Let all pass: what fits, the next incarnation will judge."""

    def takes(self, tag: str, topic: str) -> bool:  # noqa: ARG002 - the next incarnation will judge
        """Take everything: what it is, the next incarnation will judge."""
        return True

    def legal(self, topic: str) -> str:  # noqa: ARG002 - the same
        """Return what it takes."""
        return "everything"

    def refuse(self, letter: Letter, error: CallboardError) -> None:
        """Answer. Who is held gives credit back at once; who is down, when it is up: a fast sender shall wait."""
        envelope = letter.envelope
        self.lost += envelope.kind == Kind.TELL and not self.held
        if envelope.kind == Kind.TELL and envelope.reply and not letter.bare:
            self._credit.append((envelope.reply, letter.size))
            if self.held:
                self._return_credit()
        self._replies.fail(letter, error)

    def _return_credit(self) -> None:
        credit, self._credit = self._credit, []
        for address, size in credit:
            self._endpoint.give_credit(address, self.name, size)

    def cancel(self, message_id: str) -> None:
        """Forget a question whose asker has gone."""
        self.mailbox.remove(message_id)

    def answer_status(self, letter: Letter) -> None:
        """Say that each of the named messages waits for the actor's next life, or is not here."""
        order = self.mailbox.order()
        asked: list[str] = decode_body(_names, letter.envelope.body)
        found = [
            StatusBody(name, "kept", order[name]) if name in order else StatusBody(name, "unknown") for name in asked
        ]
        self._replies.plain(letter, found)

    def answer_holds(self, letter: Letter) -> None:
        """Say which of the named messages are kept here."""
        here = self.mailbox.ids()
        self._replies.plain(letter, [name for name in decode_body(_names, letter.envelope.body) if name in here])


def stand_ins(specs: Sequence[ActorSpec], endpoint: Endpoint) -> dict[str, Understudy]:
    """Return an understudy for each actor of one cell."""
    homes = {spec.name: spec.cell for spec in specs}
    return {spec.name: Understudy(endpoint, spec, homes=homes) for spec in specs}


async def recast(
    old: Mapping[str, Understudy], specs: Sequence[ActorSpec], endpoint: Endpoint
) -> dict[str, Understudy]:
    """Return the understudies of a cell whose actors have changed; those who are not needed leave their addresses.

    What one keeps goes to its successor; what nobody is there for any more is answered with ActorStopped.
    """
    made = stand_ins(specs, endpoint)
    for name, understudy in old.items():
        new = made.get(name)
        if new is not None and new.open_door == understudy.open_door:
            made[name] = understudy
        elif understudy.listens:
            if new is not None:
                await new.take_over()
            await understudy.give_back()
            left = understudy.letters()
            if new is not None:
                new.take_back(left)
            else:
                gone = ActorStopped(f"{name} was removed from the fleet", actor=name)
                for letter in left:
                    understudy.refuse(letter, gone)
    return made
