"""What one actor has in hand, and what it has done: the facts from which it is judged.

A letter in hand is noted when its handler begins. Of a run only the place is known; the message there becomes a hand
when somebody looks, which the rounds of the cell do ten times a second, or when its handler speaks.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import anyio

from callboard.bus import Kind
from callboard.clock import Clock

from .evidence import place_of, stack_of
from .flight import Flight
from .hand import InHand
from .letter import Letter
from .run import Run
from .verdict import judge_hand

STOP_WITHIN: Final = 2.0
"""Seconds that a handler has to end after it was cancelled; one that goes on is wedged."""
STACK_MOST: Final = 4000
_TELL: Final = int(Kind.TELL)
_ASK: Final = int(Kind.ASK)


class Reporter(Protocol):
    """Records events."""

    def report(self, kind: str, subject: str, text: str, **detail: str | int | float | bool | None) -> None:
        """Record an event, without waiting."""
        ...


class GiveCredit(Protocol):
    """Returns credit for told messages."""

    def __call__(self, address: str, actor: str, size: int, *, messages: int = 1) -> None:
        """Count `messages` of `size` bytes together as taken."""
        ...


class Work:
    """Of one actor, all its replicas."""

    def __init__(
        self, name: str, *, stalled_after: float, clock: Clock, flight: Flight, cell: Reporter,
        give_credit: GiveCredit, busy: "dict[str, Work]",
    ) -> None:  # fmt: skip
        self._name, self._stalled_after, self._clock, self._flight = name, stalled_after, clock, flight
        self._cell, self._give_credit, self._busy = cell, give_credit, busy
        self._hands: dict[str, InHand] = {}
        self._run: Run | None = None
        """The run that is worked through, while one of its messages is in hand."""
        self._scope: anyio.CancelScope | None = None
        """What stops that."""
        self.served = 0
        """Messages that have left their handlers, well or not."""
        self.busy_for = 0.0
        """Seconds that they were in hand, together; for a run, with the turns of others in between."""

    def take(self, letter: Letter, scope: anyio.CancelScope) -> InHand:
        """Note that a handler is about to run."""
        self._busy[self._name] = self
        now = self._clock.monotonic()
        hand = self._hands[letter.envelope.id] = InHand(letter, now, scope, now, letter.until)
        self._flight.taken(letter.slot)
        return hand

    def let_go(self, hand: InHand) -> None:
        """Count a message that leaves its handler, well or not, and the time it was in hand."""
        self.served += 1
        now = self._clock.monotonic()
        self.busy_for += now - hand.since
        if self._hands.get(hand.letter.envelope.id) is hand:  # a copy of it may be in another replica's hand
            del self._hands[hand.letter.envelope.id]
        self._rest()
        letter = hand.letter
        if letter.receipt:
            return  # what is owed for a task ends when its queue knows
        (self._flight.answered if letter.envelope.kind == _ASK else self._flight.done)(letter.slot)

    def _rest(self) -> None:
        """Leave the busy ones, if nothing is in hand any more: whoever goes the rounds looks at no others."""
        if not self._hands and self._run is None and self._busy.get(self._name) is self:
            del self._busy[self._name]

    # --- a run

    def begin(self, run: Run, scope: anyio.CancelScope) -> None:
        """Note that one who alone takes from the mailbox works through a run, and what stops it."""
        self._run, self._scope = run, scope
        self._busy[self._name] = self

    def pause(self) -> None:
        """Note that others have their turn, and nothing is in hand."""
        self._run = None

    def end(self, run: Run, begun: int, since: float) -> None:
        """Count what was done of a run since `since`, from the place `begun` on."""
        if self._run is run:
            self._run = None
        self._rest()
        done = run.at - begun
        self.served += done
        self.busy_for += self._clock.monotonic() - since
        self.settle(run)
        if run.batch.kind == _TELL:
            self._flight.done_until(run.slot_at(begun), done)
        else:  # a question is done when its answer has left
            self._flight.answered_from(run.slot_at(begun), done)

    def settle(self, run: Run) -> None:
        """Give the credit of what was taken of a run back."""
        batch, count = run.batch, run.at - run.credited
        if count and batch.kind == _TELL and batch.reply:
            size = run.bytes_until(run.at) - run.bytes_until(run.credited)
            self._give_credit(batch.reply, self._name, size, messages=count)
        run.credited = run.at

    def let_go_of(self, run: Run) -> InHand | None:
        """Forget the message of a run that was in hand, and return it if anybody had looked."""
        hand, run.hand = run.hand, None
        if hand is not None:
            self._hands.pop(hand.letter.envelope.id, None)
        return hand

    def at(self, run: Run, place: int) -> InHand:
        """Return the message at `place` of a run as it is in hand; of one whose handler has ended, what it was."""
        now, scope = self._clock.monotonic(), self._scope or anyio.CancelScope()
        if run is not self._run or place != run.at - 1:
            return InHand(run.letter(place), now, scope, now, run.until)
        return run.in_hand(place, now, scope)

    def hands(self) -> Mapping[str, InHand]:
        """Return all that is in hand, by id. Of a run it is known only since somebody looks, ten times a second."""
        run = self._run
        if run is not None and run.at:
            hand = self.at(run, run.at - 1)
            self._hands[hand.letter.envelope.id] = hand
        return self._hands

    def end_overdue(self) -> None:
        """Cancel what is in hand past its deadline: whoever asked is gone without a word. Credit is given back too."""
        if self._run is not None:
            self.settle(self._run)
        hands = self.hands()
        if not hands:
            return
        now = self._clock.monotonic()
        for hand in list(hands.values()):
            if 0.0 < hand.until < now and hand.letter.envelope.kind in (Kind.ASK, Kind.TASK):
                hand.leave("its time is up", now)

    def allow(self, seconds: float) -> None:
        """Grant all that is in hand more time: the whole process did not run for so long."""
        for hand in self.hands().values():
            hand.allow(seconds)

    def end_stalled(self) -> list[InHand]:
        """Stop each message in hand that comes no further; return those that were told so before and go on."""
        now, wedged = self._clock.monotonic(), list[InHand]()
        for hand in list(self.hands().values()):
            if hand.stalled or hand.gone:
                if now > hand.stopped + STOP_WITHIN:
                    wedged.append(hand)
                continue
            going, why = judge_hand(hand, now=now, stalled_after=self._stalled_after)
            if going == "stalled":
                self._stop(hand, why, now)
        return wedged

    def _stop(self, hand: InHand, why: str, now: float) -> None:
        hand.stalled, hand.stopped = why, now
        envelope, stack = hand.letter.envelope, stack_of(hand.handler)
        self._cell.report(
            "handler-stalled", self._name, f"{envelope.type} {why}; it stands at {place_of(stack)}",
            id=envelope.id, type=envelope.type, sender=envelope.sender or hand.letter.cell,
            stack="\n".join(stack)[:STACK_MOST], seconds=round(now - hand.since, 3),
        )  # fmt: skip
        hand.scope.cancel()
