"""What one actor may spend without asking: leases of the office, and what its calls hold of them.

A lease is good until the first of its windows ends. A call holds its worst case of one lease from before it is made
until it is settled; the rest comes back to the lease. A lease that ended, or that nobody used for a while, goes back to
the office when no call holds anything of it.
"""

from collections.abc import Callable
from typing import Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.clock import Clock
from callboard.errors import CallboardError, from_wire
from callboard.names import OFFICE

from ...office import Money
from ..errors import BudgetSpent, CallTooLarge, OfficeAway
from .lease import AskMoney, Back, Hold, Lease
from .money import in_dollars

IDLE: Final = 5.0
"""Seconds after which a lease that nobody uses goes back."""
AHEAD: Final = 8
"""Calls like this one for which a lease is asked at once."""
AWAY: Final = 0.5
"""Seconds until an office that did not answer is asked again."""
ASK_AGAIN: Final = 5.0
"""Seconds after which a call that waits for money asks again: a budget may be raised."""
ASIDE: Final = 0.25
"""Seconds after which it is tried again where only what is set aside for others is in the way."""
ASIDE_MOST: Final = 15.0
"""Seconds for which that is tried: what idles goes back before, and what died with a cell may never."""
_AGAIN: Final = Money(lease=-1)
"""Look at the leases again."""


class _Need(msgspec.Struct, frozen=True):
    """A call that waits for money."""

    worst: int
    until: float
    urgent: bool
    began: float


class Pending:
    """What the office says, once it has."""

    def __init__(self, worst: int, urgent: bool) -> None:
        self.worst, self.urgent = worst, urgent
        self.came = anyio.Event()
        self.money = Money()
        self.error: CallboardError | None = None


class Purse:
    """Of one actor, or of one of its trees where those have budgets."""

    def __init__(self, actor: str, ask: AskMoney, *, clock: Clock, tasks: TaskGroup, exact: bool = False) -> None:
        """`tasks` own what is on its way: a lease that comes when nobody waits for it any more is kept all the same."""
        self._actor, self._ask, self._clock, self._tasks, self._exact = actor, ask, clock, tasks, exact
        self._leases: list[Lease] = []
        self._under_way: Pending | None = None

    async def take(self, worst: int, *, until: float, urgent: bool = False) -> Hold:
        """Hold `worst` nano-dollars, as soon as there is so much and not after `until` (monotonic seconds).

        Raises:
            BudgetSpent: a budget has not so much left, and there is no time to wait for its next window.
            CallTooLarge: it never has so much.
            OfficeAway: nobody could be asked.

        """
        need = _Need(worst, until, urgent, self._clock.monotonic())
        while True:
            if (hold := self.take_nowait(worst, urgent=urgent)) is not None:
                return hold
            wait = await self._patiently(need)
            if wait:
                await self._clock.sleep(wait)

    def take_nowait(self, worst: int, *, urgent: bool = False) -> Hold | None:
        """Hold `worst` of a lease that is here, if one has so much."""
        now = self._clock.monotonic()
        for lease in self._leases:
            if lease.left >= worst and urgent >= lease.urgent and not lease.is_over(now):
                lease.left -= worst
                lease.holds += 1
                lease.used = now
                return Hold(lease, worst)
        return None

    async def _patiently(self, need: _Need) -> float:
        """Fetch a lease; an office that is away is asked again as long as there is time."""
        try:
            return await self._fetch(need)
        except OfficeAway:
            if self._clock.monotonic() + AWAY >= need.until:
                raise
            return AWAY

    async def _fetch(self, need: _Need) -> float:
        """Fetch a lease; return after how many seconds to try again if there is none yet."""
        money = await self._bring(need)
        if money.lease:
            return 0.0
        if need.worst > money.limit:
            most, least = in_dollars(money.limit), in_dollars(need.worst)
            text = f"one call of {self._actor} can cost {least}, and {money.budget} is {most}"
            raise CallTooLarge(f"{text}: lower `most`, or raise the budget", actor=self._actor, budget=money.budget)
        now = self._clock.monotonic()
        if money.aside and now + ASIDE < min(need.until, need.began + ASIDE_MOST):
            return ASIDE
        if not money.queue or need.until - now <= min(money.wait, ASK_AGAIN):
            raise self._spent(need.worst, money)
        return min(money.wait, ASK_AGAIN)

    async def _bring(self, need: _Need) -> Money:
        """Ask the office, and put what it leases into the purse, whoever waits for it."""
        answer = self._under_way
        if answer is None:
            answer = self._under_way = Pending(need.worst, need.urgent)
            self._tasks.start_soon(self._ask_office, answer)
        with anyio.move_on_after(max(0.0, need.until - self._clock.monotonic())):
            await answer.came.wait()
        if not answer.came.is_set():
            raise OfficeAway("the office did not answer in time", actor=OFFICE)
        if (error := answer.error) is not None:
            raise from_wire(error.code, error.text, error.detail)  # several may wait for it
        if (answer.worst, answer.urgent) != (need.worst, need.urgent):
            return _AGAIN  # it was for another
        return answer.money

    async def _ask_office(self, answer: Pending) -> None:
        asked, worst = self._clock.monotonic(), answer.worst
        want = worst if self._exact else AHEAD * worst
        try:
            money = answer.money = await self._ask(worst, want, urgent=answer.urgent, back=self._remains())
        except CallboardError as error:
            answer.error = error
        else:
            if money.lease:
                end = None if money.left is None else asked + money.left
                self._leases.append(
                    Lease(
                        id=money.lease, amount=money.amount, left=money.amount, until=end, step_down=money.step_down,
                        urgent=money.urgent, used=asked,
                    )
                )  # fmt: skip
        finally:
            self._under_way = None
            answer.came.set()

    def _remains(self) -> Back:
        """Return what of the leases is used in all, where some is left that is too little for the call in hand.

        From here on it is not ours: it is given back with the question for more, so that near the end of a budget
        nothing lies about that nobody can use.
        """
        return tuple((lease.id, lease.shrink()) for lease in self._leases if lease.left)

    def _spent(self, worst: int, money: Money) -> BudgetSpent:
        text = f"{money.budget}: {in_dollars(money.spent)} of {in_dollars(money.limit)} is spent"
        aside = f" and {in_dollars(money.reserved)} set aside for calls under way" if money.reserved else ""
        when = f"; its window ends in {money.wait:.0f} s" if money.wait else ""
        return BudgetSpent(
            f"{text}{aside}, and a call of {self._actor} can cost {in_dollars(worst)}{when}", actor=self._actor,
            budget=money.budget, wait=money.wait,
        )  # fmt: skip

    def settle(self, hold: Hold, cost: int) -> None:
        """End a hold: what the call did not cost may be held again."""
        lease = hold.lease
        lease.holds -= 1
        lease.left = max(0, lease.left + hold.amount - cost)  # what an endpoint takes beyond the worst case, too
        if self._exact or lease.left < hold.amount:
            lease.until = self._clock.monotonic()  # of no use for another such call: it goes back at once

    def end_leases(self) -> None:
        """Let nothing more be held of the leases that are here."""
        for lease in self._leases:
            lease.until = self._clock.monotonic()

    def idle(self) -> list[int]:
        """Return the leases that ended, or that nobody used for a while, and forget them."""
        now = self._clock.monotonic()
        return self._taken(lambda lease: lease.is_over(now) or now - lease.used > IDLE)

    def unheld(self) -> list[int]:
        """Return all leases of which no call holds anything, and forget them."""
        return self._taken(lambda _lease: True)

    def _taken(self, chosen: Callable[[Lease], bool]) -> list[int]:
        done = [lease for lease in self._leases if not lease.holds and chosen(lease)]
        self._leases = [lease for lease in self._leases if lease not in done]
        return [lease.id for lease in done]

    @property
    def empty(self) -> bool:
        """Whether nothing of it is needed any more."""
        return not self._leases and self._under_way is None
