"""What one actor may spend without asking: leases of the office, and what its calls hold of them.

A lease is good until the first of its windows ends. A call holds its worst case of one lease from before it is made
until it is settled; the rest comes back to the lease. A lease that ended, or that nobody used for a while, goes back to
the office when no call holds anything of it.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.clock import Clock
from callboard.errors import CallboardError

from ..office import Money
from .errors import BudgetSpent, CallTooLarge, OfficeAway
from .money import dollars

IDLE: Final = 5.0
"""Seconds after which a lease that nobody uses goes back."""
AHEAD: Final = 8
"""Calls like this one for which a lease is asked at once."""
AWAY: Final = 0.5
"""Seconds until an office that did not answer is asked again."""
ASK_AGAIN: Final = 5.0
"""Seconds after which a call that waits for money asks again: a budget may be raised."""


class Ask(Protocol):
    """How the office is asked."""

    async def __call__(self, least: int, want: int, /, *, urgent: bool) -> Money:
        """Lease at least so much and better so much, in nano-dollars."""
        ...


class Lease(msgspec.Struct, eq=False):
    """Money that an office has set aside for us."""

    id: int
    left: int
    until: float | None
    """Monotonic seconds; None: without end."""
    step_down: bool = False
    urgent: bool = False
    holds: int = 0
    used: float = 0.0
    """When it was held the last time, in monotonic seconds."""

    def is_over(self, now: float) -> bool:
        """Whether nothing of it may be held any more."""
        return self.until is not None and now >= self.until


class Hold(msgspec.Struct, eq=False):
    """What one call may cost."""

    lease: Lease
    amount: int

    @property
    def step_down(self) -> bool:
        """Whether the budget wants the cheaper model."""
        return self.lease.step_down


class Pending:
    """What the office says, once it has."""

    def __init__(self) -> None:
        self.came = anyio.Event()
        self.money = Money()
        self.error: CallboardError | None = None


class Purse:
    """Of one actor, or of one of its trees where those have budgets."""

    def __init__(self, actor: str, ask: Ask, *, clock: Clock, tasks: TaskGroup, exact: bool = False) -> None:
        """`tasks` own what is on its way: a lease that comes when nobody waits for it any more is kept all the same."""
        self._actor, self._ask, self._clock, self._tasks, self._exact = actor, ask, clock, tasks, exact
        self._leases: list[Lease] = []
        self._asking = anyio.Lock()

    async def take(self, worst: int, *, until: float, urgent: bool = False) -> Hold:
        """Hold `worst` nano-dollars, as soon as there is so much and not after `until` (monotonic seconds).

        Raises:
            BudgetSpent: a budget has not so much left, and there is no time to wait for its next window.
            CallTooLarge: it never has so much.
            OfficeAway: nobody could be asked.

        """
        while True:
            if (hold := self.take_nowait(worst, urgent=urgent)) is not None:
                return hold
            async with self._asking:
                if (hold := self.take_nowait(worst, urgent=urgent)) is not None:  # of what the one before has brought
                    return hold
                wait = await self._patiently(worst, until, urgent=urgent)
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

    async def _patiently(self, worst: int, until: float, *, urgent: bool) -> float:
        """Fetch a lease; an office that is away is asked again as long as there is time."""
        try:
            return await self._fetch(worst, until, urgent=urgent)
        except OfficeAway:
            if self._clock.monotonic() + AWAY >= until:
                raise
            return AWAY

    async def _fetch(self, worst: int, until: float, *, urgent: bool) -> float:
        """Fetch a lease; return after how many seconds to try again if there is none yet."""
        money = await self._bring(worst, urgent=urgent)
        if money.lease:
            return 0.0
        if worst > money.limit:
            most, least = dollars(money.limit), dollars(worst)
            text = f"one call of {self._actor} can cost ${least:.4f}, and {money.spent} is ${most:.4f}"
            raise CallTooLarge(f"{text}: lower `most`, or raise the budget", actor=self._actor, budget=money.spent)
        left = until - self._clock.monotonic()
        if not money.queue or left <= min(money.wait, ASK_AGAIN):
            raise self._spent(worst, money)
        return min(money.wait, ASK_AGAIN)

    async def _bring(self, worst: int, *, urgent: bool) -> Money:
        """Ask the office, and put what it leases into the purse, whoever waits for it."""
        answer = Pending()
        self._tasks.start_soon(partial(self._ask_office, answer, worst, urgent=urgent))
        await answer.came.wait()
        if answer.error is not None:
            raise answer.error
        return answer.money

    async def _ask_office(self, answer: Pending, worst: int, *, urgent: bool) -> None:
        asked = self._clock.monotonic()
        try:
            money = answer.money = await self._ask(worst, worst if self._exact else AHEAD * worst, urgent=urgent)
        except CallboardError as error:
            answer.error = error
        else:
            if money.lease:
                end = None if money.left is None else asked + money.left
                lease = Lease(money.lease, money.amount, end, money.step_down, money.urgent, used=asked)
                self._leases.append(lease)
        finally:
            answer.came.set()

    def _spent(self, worst: int, money: Money) -> BudgetSpent:
        text = (
            f"{money.spent} has ${dollars(money.free):.4f} of ${dollars(money.limit):.4f} left, and a call of "
            f"{self._actor} can cost ${dollars(worst):.4f}"
        )
        when = f"; its window ends in {money.wait:.0f} s" if money.wait else ""
        return BudgetSpent(text + when, actor=self._actor, budget=money.spent, wait=money.wait)

    def settle(self, hold: Hold, cost: int) -> None:
        """End a hold: what the call did not cost may be held again."""
        lease = hold.lease
        lease.holds -= 1
        lease.left += max(0, hold.amount - cost)
        if self._exact:
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
        return not self._leases and not self._asking.locked()
