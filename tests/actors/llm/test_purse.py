"""A purse holds what calls can cost before they are made, and asks the office for what is missing."""

import anyio
import pytest
from tests.manual_clock import ManualClock

from callboard.actors.llm import BudgetSpent, CallTooLarge
from callboard.actors.llm.purse import AHEAD, ASK_AGAIN, IDLE, Purse
from callboard.actors.office import Money

pytestmark = pytest.mark.anyio


class Till:
    """An office with one budget, that leases what is asked for as long as it has it."""

    def __init__(self, has: int, *, left: float | None = 100.0, queue: bool = False, wait: float = 0.0) -> None:
        self.has, self.limit, self.left, self.queue, self.wait = has, has, left, queue, wait
        self.asked: list[tuple[int, int]] = []

    async def ask(self, least: int, want: int, urgent: bool = False) -> Money:
        self.asked.append((least, want))
        await anyio.lowlevel.checkpoint()
        if least > self.has:
            return Money(spent="the till", wait=self.wait, queue=self.queue, free=self.has, limit=self.limit)
        amount = min(want, self.has)
        self.has -= amount
        return Money(lease=len(self.asked), amount=amount, left=self.left)


async def test_most_calls_ask_nobody() -> None:
    clock, till = ManualClock(), Till(1_000_000)
    purse = Purse("a", till.ask, clock=clock)
    for _ in range(AHEAD):
        purse.settle(await purse.take(100, until=10.0), 40)
    assert till.asked == [(100, AHEAD * 100)]


async def test_what_a_call_did_not_cost_may_be_spent_again() -> None:
    clock, till = ManualClock(), Till(100)
    purse = Purse("a", till.ask, clock=clock)
    for _ in range(4):
        purse.settle(await purse.take(100, until=10.0), 0)
    hold = await purse.take(100, until=10.0)
    purse.settle(hold, 1)
    with pytest.raises(BudgetSpent):
        await purse.take(100, until=10.0)


async def test_many_who_want_money_at_once_never_hold_more_than_there_is() -> None:
    clock, till = ManualClock(), Till(1_000)
    purse, held, spent = Purse("a", till.ask, clock=clock), 0, 0

    async def call() -> None:
        nonlocal held, spent
        try:
            hold = await purse.take(90, until=10.0)
        except BudgetSpent:
            return
        held += 90
        assert held + spent <= 1_000
        await anyio.lowlevel.checkpoint()
        held -= 90
        spent += 70
        purse.settle(hold, 70)

    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(call)
    assert 1_000 - 90 < spent + 70 <= 1_000


async def test_a_lease_is_not_used_after_its_end_and_goes_back_when_nobody_holds_of_it() -> None:
    clock, till = ManualClock(), Till(10_000, left=30.0)
    purse = Purse("a", till.ask, clock=clock)
    hold = await purse.take(100, until=100.0)
    await clock.advance(30.0)
    assert purse.take_nowait(100) is None
    assert purse.idle() == []
    purse.settle(hold, 100)
    assert purse.idle() == [1]
    assert purse.empty


async def test_a_lease_that_nobody_uses_goes_back() -> None:
    clock, till = ManualClock(), Till(10_000, left=None)
    purse = Purse("a", till.ask, clock=clock)
    purse.settle(await purse.take(100, until=100.0), 10)
    assert purse.idle() == []
    await clock.advance(IDLE + 0.1)
    assert purse.idle() == [1]


async def test_a_call_that_no_budget_can_ever_pay_is_refused_as_too_large() -> None:
    purse = Purse("a", Till(1_000).ask, clock=ManualClock())
    with pytest.raises(CallTooLarge, match="lower `most`"):
        await purse.take(1_001, until=10.0)


async def test_a_call_waits_for_the_next_window_if_its_budget_says_so_and_it_has_time() -> None:
    clock, till = ManualClock(), Till(1_000, queue=True, wait=3_600.0)
    purse, got = Purse("a", till.ask, clock=clock), list[int]()
    till.has = 0

    async def call() -> None:
        got.append((await purse.take(100, until=100.0)).amount)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        till.has = 1_000  # the budget was raised, or its window ended
        await clock.advance(ASK_AGAIN)
    assert got == [100]


async def test_a_call_without_the_time_to_wait_is_told_when_the_window_ends() -> None:
    till = Till(1_000, queue=True, wait=3_600.0)
    till.has = 10
    purse = Purse("a", till.ask, clock=ManualClock())
    with pytest.raises(BudgetSpent, match="3600 s") as caught:
        await purse.take(100, until=2.0)
    assert caught.value.wait == 3_600.0


async def test_where_each_call_needs_a_lease_none_is_used_twice() -> None:
    clock, till = ManualClock(), Till(10_000, left=None)
    purse = Purse("a", till.ask, clock=clock, exact=True)
    for _ in range(3):
        purse.settle(await purse.take(100, until=10.0), 1)
    assert till.asked == [(100, 100)] * 3
    assert purse.idle() == [1, 2, 3]
