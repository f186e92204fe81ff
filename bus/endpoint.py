"""One cell's end of the bus: it speaks envelopes to actors by name and hears what comes back.

An ask ends in exactly one of four ways: its reply, a typed error, its deadline, or the news that who held it died. The
last one works so. When an incarnation dies the daemon says so to all (a notice ``down``). Each endpoint that still
waits for that actor then asks, *at the same address*, which of its questions are held there. Who answers is the
understudy or the next incarnation. Order is kept for each sender and subject, so a question that did reach the new
holder reached it before this one, and is named; any other died with the old one and fails at once.

A frame that reached nobody comes back (see :mod:`.outbox`) and is sent again, or fails (see :mod:`.homeless`).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.background import background
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.ids import new_id

from . import codec, subjects
from .addresses import Addresses
from .batch import Head, ReplyHead
from .credit import Account, Returns
from .envelope import VERSION, Answer, Answers, CreditBody, Envelope, Kind, NoticeBody, StatusBody, Trust
from .errors import (
    BusClosed,
    BusUnavailable,
    DeadlineExceeded,
    MailboxFull,
    MessageRefused,
    NoSuchActor,
)
from .exchange import Exchange
from .homeless import Homeless
from .interface import Bus, Receiver, Subscription
from .news import may_say
from .outbox import Outbox
from .questions import Questions
from .reckoning import Reckoning, Uncertain

HANDOVER_ROOM: Final = 1024
"""Bytes by which a message must stay below the server's limit, so that an understudy can hand it on inside another."""
YIELD_EVERY: Final = 256
"""Tells without a pause before other tasks get a turn: two full batches. One a turn costs a tenth of them."""
_QUESTION: Final = 2.0

_credit: Final = msgspec.msgpack.Decoder(CreditBody)
_notice: Final = msgspec.msgpack.Decoder(NoticeBody)
_held: Final = msgspec.msgpack.Decoder(list[str])
_where: Final = msgspec.msgpack.Decoder(str)
_status: Final = msgspec.msgpack.Decoder(list[StatusBody])


class Endpoint:
    """Speaks for one cell over one bus. Use as an async context manager; it ends with its block."""

    def __init__(
        self, bus: Bus, *, fleet: str, cell: str, clock: Clock, epoch: int = 0, fences: Mapping[str, int] | None = None,
        supervised: bool = False, exchange: Exchange | None = None,
    ) -> None:  # fmt: skip
        self.bus, self.fleet, self.cell, self.clock, self.epoch = bus, fleet, cell, clock, epoch
        self.homes: Mapping[str, str] = {}
        """The cell of each actor of the fleet file, as far as it is known here."""
        self.fences = dict(fences or {})
        """For each cell the epoch below which nothing is believed: an older process of it was replaced."""
        self._supervised = supervised
        """Whether a daemon is known to run: when nobody answers for it, then it is only cut off, as we were."""
        self.inbox = f"{bus.inbox}.r"
        self.lost = 0
        self.exchange = exchange
        """Who else is in this process; None: all that is said crosses the server."""
        self._addresses = Addresses(fleet, cell)
        self._outbox = Outbox(bus, self._returned, exchange=exchange, subject_of=self._addresses.subject_of)
        self._questions = Questions()
        self._accounts: dict[str, Account] = {}
        self._returns = Returns(self._send_credit)
        self._homeless = Homeless(
            fleet=fleet, clock=clock, where=self._where, send=self._outbox.put, give_up=self._give_up,
            wanted=self._wanted, move=self._addresses.move,
        )  # fmt: skip
        self._since_yield = 0
        self._listeners: list[Callable[[NoticeBody], None]] = []
        self._reckoning = Reckoning(
            self._questions, self._accounts, self._addresses,
            which_held=self._which_held, homeless=lambda: self._homeless.ids(),
        )  # fmt: skip
        self._subscriptions: list[Subscription] = []
        self._stack: AsyncExitStack
        self.tasks: TaskGroup

    async def __aenter__(self) -> "Endpoint":
        async with AsyncExitStack() as stack:
            self.tasks = await stack.enter_async_context(background())
            self._subscriptions = [
                await self.bus.subscribe(self.inbox, self._on_inbox),
                await self.bus.subscribe(f"{self.bus.inbox}.n.*", self._outbox.nobody_home),
            ]
            await self.hear("notice", self._on_notice)
            if self.exchange is not None:
                self.exchange.open_inbox(self.inbox, self._on_inbox)
                stack.callback(self.exchange.close, self.inbox, self._on_inbox)
            self._stack = stack.pop_all()
        self.bus.on_gap(lambda: self._reckoning.after_gap(self.tasks))
        self.tasks.start_soon(self._watch_bus)
        return self

    async def _watch_bus(self) -> None:
        why = await self.bus.wait_closed()
        self._questions.fail_all(BusClosed(f"the connection ended while it waited for the reply: {why}", why=why))

    async def __aexit__(self, *exc: Any) -> bool | None:
        self._outbox.flush()
        self._questions.fail_all(BusUnavailable("this endpoint was closed while it waited for the reply"))
        with anyio.CancelScope(shield=True), anyio.move_on_after(_QUESTION):
            for subscription in self._subscriptions:
                await subscription.unsubscribe()
        return await self._stack.__aexit__(*exc)

    # --- speaking

    def address(self, actor: str) -> str:
        """Return the subject of an actor's mailbox as this cell speaks to it; raises InvalidName."""
        return self._addresses.of(actor)

    def send(self, subject: str, envelope: Envelope) -> None:
        """Put an envelope on its way without waiting and without credit: errors, notices, large replies."""
        self._outbox.put(subject, codec.encode(envelope))

    def answer(self, inbox: str, head: ReplyHead, question: str, body: bytes) -> None:
        """Put a reply on its way, in company if it is small; raises MessageTooLarge."""
        if len(body) > self._outbox.body_most:
            self.send(inbox, head.envelope(question, body))
        else:
            self._outbox.answer(inbox, head, question, body)

    def tell_nowait(self, head: Head, body: bytes) -> str:
        """Send one message in company if nothing must be waited for: credit, the first word, others' turn.

        Returns its id; empty, and nothing is sent, if :meth:`tell` is needed.
        """
        account, size = self._accounts.get(head.name), len(body)
        if (
            account is None
            or size > self._outbox.body_most
            or not head.lean
            or self._since_yield >= YIELD_EVERY
            or self._homeless.waiting
        ):
            return ""
        if not account.take_nowait(size):
            return ""
        self._since_yield += 1
        sent = self._outbox.add(head, body)
        account.names.append(sent)
        return sent

    async def tell(self, actor: str, envelope: Envelope, *, timeout: float) -> None:
        """Send one message under credit.

        Raises:
            MailboxFull: no credit within `timeout` seconds; ``depth`` messages of ours wait there.
            NoSuchActor, Held: as far as known when the actor is first spoken to.
            DeadlineExceeded: spoken to for the first time, it did not say within `timeout` that it is there.
            MessageTooLarge: it would not pass the server.

        """
        address, data = self.address(actor), codec.encode(envelope)
        self.check_size(data)
        account = self._accounts.get(actor)
        if account is None:
            account = await self._meet(actor, timeout)
        size = len(memoryview(envelope.body))
        if not account.take_nowait(size):
            await self._wait_credit(actor, account, size, timeout)
        account.names.append(envelope.id)
        self._put(address, data)
        self._since_yield += 1
        if self._since_yield >= YIELD_EVERY:
            self._since_yield = 0
            await (self.bus.settle() if self.bus.congested else asyncio.sleep(0))

    def _put(self, address: str, data: bytes) -> None:
        if not self._homeless.keep(address, data):
            self._outbox.put(address, data)

    def check_size(self, data: bytes, *, room: int = HANDOVER_ROOM) -> None:
        """Raise MessageTooLarge for what would not pass, also inside another message."""
        if len(data) > (most := self.bus.max_payload - room):
            codec.check_size(data, most)

    async def _meet(self, actor: str, timeout: float) -> Account:
        """Make sure that somebody answers for `actor` before the first tell, and open an account."""
        await self._which_held(actor, (), timeout)
        return self._accounts.setdefault(actor, Account())

    async def _wait_credit(self, actor: str, account: Account, size: int, timeout: float) -> None:
        with anyio.move_on_after(timeout) as scope:
            await account.take(size)
        if scope.cancelled_caught:
            depth = account.messages
            raise MailboxFull(
                f"{actor} has not taken {depth} messages of this cell within {timeout} s",
                actor=actor,
                depth=depth,
            )

    async def ask_in_company(self, head: Head, body: bytes, *, timeout: float) -> Answer:
        """Ask as :meth:`ask` does; what is asked with one head in one turn travels together."""
        if len(body) > self._outbox.body_most or not head.lean or self._homeless.waiting:
            return await self.ask(head.name, head.envelope(new_id(), body), timeout=timeout)
        self._questions.check_room()
        question = self._outbox.add(head, body)
        answer = self._questions.open(question, head.name, timeout)
        if self.bus.congested:
            return await self._wait_answer(head.address, question, answer, timeout)
        try:
            return await answer
        finally:
            if self._questions.close(question):
                self.send(head.address, self.make(Kind.CANCEL, causation=question))

    async def ask(self, actor: str, envelope: Envelope, *, timeout: float) -> Answer:
        """Send a question and return its reply.

        When `timeout` seconds pass, or this call is cancelled, the actor is told that nobody waits any more.

        Raises:
            DeadlineExceeded: no reply in time.
            ActorDied, Held, NoSuchActor, MailboxFull, …: the typed error that came instead of a reply.

        """
        address, data = self.address(actor), codec.encode(envelope)
        self.check_size(data)
        answer = self._questions.open(envelope.id, actor, timeout)
        self._put(address, data)
        return await self._wait_answer(address, envelope.id, answer, timeout)

    async def _wait_answer(
        self, address: str, question: str, answer: "asyncio.Future[Answer]", timeout: float
    ) -> Answer:
        try:
            if self.bus.congested:
                with anyio.move_on_after(timeout):
                    await self.bus.settle()
            return await answer
        finally:
            if self._questions.close(question):
                self.send(address, self.make(Kind.CANCEL, causation=question))

    async def status_of(self, question: str, actor: str) -> StatusBody:
        """Return how far an open question to `actor` has come; passes a full mailbox.

        Raises DeadlineExceeded when nobody says within two seconds: its loop is blocked, or it is cut off.
        """
        asked = self.make(Kind.STATUS, reply=self.inbox, body=[question])
        reply = await self.ask(actor, asked, timeout=_QUESTION)
        found = codec.decode_body(_status, reply.body)
        return found[0] if found else StatusBody(question, "unknown")

    async def flush(self) -> None:
        """Wait until the server has seen everything sent so far."""
        self._outbox.flush()
        await self.bus.flush()

    def make(self, kind: Kind, *, causation: str = "", reply: str = "", body: Any = None) -> Envelope:
        """Return a word of the runtime's own."""
        return Envelope(
            VERSION, kind, "", 0, new_id(), "", causation, reply=reply, trust=Trust.INTERNAL,
            body=msgspec.Raw(codec.encode(body)), epoch=self.epoch,
        )  # fmt: skip

    async def hear(self, what: str, receiver: Receiver) -> None:
        """Have `receiver` called for all that is said to the fleet's own subject `what`, until this endpoint ends."""
        await self.listen(subjects.system(self.fleet, what), receiver)

    async def listen(self, subject: str, receiver: Receiver, *, queue: str = "") -> None:
        """Have `receiver` called for all that is said to `subject`, until this endpoint ends."""
        self._subscriptions.append(await self.bus.subscribe(subject, receiver, queue=queue))

    def notify(self, notice: NoticeBody) -> None:
        """Tell every endpoint of the fleet what happened to an actor's address."""
        self.bus.publish(
            subjects.system(self.fleet, "notice", sender=self.cell),
            codec.encode(self.make(Kind.NOTICE, body=notice)),
        )

    def on_uncertain(self, listener: Uncertain) -> None:
        """Call `listener` when told messages may be lost; what the dead process had read, its autopsy names too."""
        self._reckoning.listeners.append(listener)

    def on_notice(self, listener: Callable[[NoticeBody], None]) -> None:
        """Call `listener` for each notice of the fleet, after this endpoint has acted on it."""
        self._listeners.append(listener)

    def give_credit(self, address: str, actor: str, size: int, *, messages: int = 1) -> None:
        """Count told messages as taken; their sender gets its credit back soon, in company."""
        self._returns.add(address, actor, size, messages)

    def _send_credit(self, address: str, body: CreditBody) -> None:
        self.send(address, self.make(Kind.CREDIT, body=body))

    # --- hearing

    def _on_inbox(self, _subject: str, data: bytes, _reply: str) -> None:
        for part in codec.parts_of(data):
            try:
                self._hear(part)
            except MessageRefused:  # it costs itself alone, not the rest of its frame
                self.lost += 1

    def _hear(self, part: codec.Part) -> None:
        if isinstance(part, Answers):
            self._questions.answer_all(part)
        elif not isinstance(part, Envelope):
            self.lost += 1
        elif part.kind == Kind.CREDIT:
            self._on_credit(part)
        elif part.kind in (Kind.REPLY, Kind.ERROR):
            self._questions.answer(part)

    def _on_credit(self, envelope: Envelope) -> None:
        body = codec.decode_body(_credit, envelope.body)
        account = self._accounts.get(body.actor)
        if account is not None:
            account.give(body.messages, body.bytes)

    def _on_notice(self, subject: str, data: bytes, _reply: str) -> None:
        cell = subjects.parse(subject).cell
        for envelope in codec.split(data):
            if isinstance(envelope, MessageRefused):
                self.lost += 1
                continue
            notice: NoticeBody = codec.decode_body(_notice, envelope.body)
            if not may_say(cell, notice, homes=self.homes):
                self.lost += 1
                continue
            if notice.what == "fence":
                self.fences[notice.cell] = max(notice.epoch, self.fences.get(notice.cell, 0))
            if notice.what in ("down", "gap"):
                self._reckoning.after_news(notice, self.tasks)
            elif notice.what == "ended":
                self._reckoning.close(notice, self.tasks)
            for listener in self._listeners:
                listener(notice)

    @property
    def uncertain(self) -> int:
        """Tells that were in doubt so far."""
        return self._reckoning.uncertain

    async def _which_held(self, actor: str, asked: Iterable[str], timeout: float = _QUESTION) -> frozenset[str]:
        question = self.make(Kind.HOLDS, reply=self.inbox, body=list(asked))
        reply = await self.ask(actor, question, timeout=timeout)
        return frozenset(codec.decode_body(_held, reply.body))

    # --- nobody home

    def _returned(self, subject: str, parts: list[bytes], error: CallboardError | None) -> None:
        if error is not None:
            self._give_up(codec.opened(parts), error)
        elif subjects.parse(subject).branch == "sys":
            self._give_up(codec.opened(parts), NoSuchActor("no daemon answers for this fleet"))
        else:
            self._homeless.take(subject, parts, self.tasks)

    def _wanted(self, envelope: Envelope) -> bool:
        """Return whether it is still worth sending: a question whose asker has gone is not."""
        return envelope.kind != Kind.ASK or envelope.id in self._questions

    async def _where(self, actor: str) -> str:
        """Ask the daemon how it stands with `actor`: up, restarting, held, unknown, or in which cell it is."""
        question = self.make(Kind.WHERE, reply=self.inbox, body=actor)
        try:
            answer = self._questions.open(question.id, "", _QUESTION)
            self._outbox.put(subjects.system(self.fleet, "where", sender=self.cell), codec.encode(question))
            return str(codec.decode_body(_where, (await answer).body))
        except NoSuchActor:
            return "restarting" if self._supervised else "unknown"
        except (DeadlineExceeded, BusUnavailable):
            return "restarting"  # a daemon that is slow to answer, or cut off from us, knows no less for it
        except CallboardError:
            return "unknown"
        finally:
            self._questions.close(question.id)

    def _give_up(self, envelopes: Iterable[Envelope], error: CallboardError) -> None:
        for envelope in envelopes:
            self._questions.fail((envelope.id,), error)
            if envelope.kind == Kind.TELL:
                self.lost += 1
                if (account := self._accounts.get(str(error.detail.get("actor", "")))) is not None:
                    account.give(1, len(memoryview(envelope.body)))
