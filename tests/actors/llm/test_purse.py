"""A purse holds what calls can cost before they are made, and asks the office for what is missing."""

from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import TaskGroup
from tests.manual_clock import ManualClock

from callboard.actors.llm import BudgetSpent, CallTooLarge, OfficeAway
from callboard.actors.llm.purse.lease import Back
from callboard.actors.llm.purse.purse import AHEAD, ASIDE, ASIDE_MOST, ASK_AGAIN, IDLE, Purse
from callboard.actors.office import Money
from callboard.clock import SystemClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as owned:
        yield owned
        owned.cancel_scope.cancel()


class Till:
    """An office with one budget, that leases what is asked for as long as it has it."""

    def __init__(self, has: int, *, left: float | None = 100.0, queue: bool = False, wait: float = 0.0) -> None:
        self.has, self.limit, self.left, self.queue, self.wait = has, has, left, queue, wait
        self.asked: list[tuple[int, int]] = []
        self.leased: dict[int, int] = {}
        self.aside = False
        self.held: anyio.Event | None = None
        """Until when it does not answer."""

    async def ask(self, least: int, want: int, /, *, urgent: bool = False, back: Back = ()) -> Money:
        assert not urgent
        self.asked.append((least, want))
        for lease, most in back:
            self.has += self.leased[lease] - most
            self.leased[lease] = most
        await anyio.lowlevel.checkpoint()
        if self.held is not None:
            await self.held.wait()
        if least > self.has:
            return Money(
                budget="the till", wait=self.wait, queue=self.queue, aside=self.aside, limit=self.limit,
                spent=self.limit - self.has,
            )  # fmt: skip
        amount = min(want, self.has)
        self.has -= amount
        self.leased[len(self.asked)] = amount
        return Money(lease=len(self.asked), amount=amount, left=self.left)


async def test_most_calls_ask_nobody(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(1_000_000)
    purse = Purse("a", till.ask, clock=clock, tasks=tasks)
    for _ in range(AHEAD):
        purse.settle(await purse.take(100, until=10.0), 40)
    assert till.asked == [(100, AHEAD * 100)]


async def test_what_a_call_did_not_cost_may_be_spent_again(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(100)
    purse = Purse("a", till.ask, clock=clock, tasks=tasks)
    for _ in range(4):
        purse.settle(await purse.take(100, until=10.0), 0)
    hold = await purse.take(100, until=10.0)
    purse.settle(hold, 1)
    with pytest.raises(BudgetSpent):
        await purse.take(100, until=10.0)


async def test_a_budget_can_be_spent_to_the_last_call_that_fits(tasks: TaskGroup) -> None:
    till = Till(1_000)
    purse = Purse("a", till.ask, clock=ManualClock(), tasks=tasks)
    for _ in range(61):
        purse.settle(await purse.take(400, until=10.0), 10)
    with pytest.raises(BudgetSpent):  # the next could cost 400, and 610 are spent
        await purse.take(400, until=10.0)


async def test_what_an_endpoint_takes_beyond_the_worst_case_is_taken_from_the_lease(tasks: TaskGroup) -> None:
    till = Till(AHEAD * 100)
    purse = Purse("a", till.ask, clock=ManualClock(), tasks=tasks)
    for _ in range(AHEAD // 2):
        purse.settle(await purse.take(100, until=10.0), 200)
    with pytest.raises(BudgetSpent):
        await purse.take(100, until=10.0)


async def test_what_is_only_set_aside_for_others_is_waited_for(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(1_000)
    till.has, till.aside = 0, True
    purse, got = Purse("a", till.ask, clock=clock, tasks=tasks), list[int]()

    async def call() -> None:
        got.append((await purse.take(100, until=100.0)).amount)

    async with anyio.create_task_group() as callers:
        callers.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        till.has = 500
        await clock.advance(ASIDE)
    assert got == [100]


async def test_what_stays_set_aside_is_not_waited_for_for_ever(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(1_000)
    till.has, till.aside = 0, True
    purse = Purse("a", till.ask, clock=clock, tasks=tasks)

    async def call() -> None:
        with pytest.raises(BudgetSpent):
            await purse.take(100, until=100.0)

    async with anyio.create_task_group() as callers:
        callers.start_soon(call)
        for _ in range(round(ASIDE_MOST / ASIDE)):
            await anyio.wait_all_tasks_blocked()
            await clock.advance(ASIDE)


async def test_many_at_a_silent_office_ask_it_once(tasks: TaskGroup) -> None:
    clock, till = SystemClock(), Till(100_000)
    till.held = anyio.Event()
    purse = Purse("a", till.ask, clock=clock, tasks=tasks)

    async def call() -> None:
        with pytest.raises(OfficeAway):
            await purse.take(100, until=clock.monotonic() + 0.05)

    async with anyio.create_task_group() as callers:
        for _ in range(50):
            callers.start_soon(call)
    assert not purse.empty, "what is on its way is kept"
    till.held.set()
    await anyio.wait_all_tasks_blocked()
    assert purse.take_nowait(100) is not None
    assert till.asked == [(100, AHEAD * 100)]


async def test_many_who_want_money_at_once_never_hold_more_than_there_is(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(1_000)
    purse, held, spent = Purse("a", till.ask, clock=clock, tasks=tasks), 0, 0

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

    async with anyio.create_task_group() as callers:
        for _ in range(200):
            callers.start_soon(call)
    assert 1_000 - 90 < spent <= 1_000


async def test_a_lease_is_not_used_after_its_end_and_goes_back_when_nobody_holds_of_it(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(10_000, left=30.0)
    purse = Purse("a", till.ask, clock=clock, tasks=tasks)
    hold = await purse.take(100, until=100.0)
    await clock.advance(30.0)
    assert purse.take_nowait(100) is None
    assert purse.idle() == []
    purse.settle(hold, 100)
    assert purse.idle() == [1]
    assert purse.empty


async def test_a_lease_that_nobody_uses_goes_back(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(10_000, left=None)
    purse = Purse("a", till.ask, clock=clock, tasks=tasks)
    purse.settle(await purse.take(100, until=100.0), 10)
    assert purse.idle() == []
    await clock.advance(IDLE + 0.1)
    assert purse.idle() == [1]


async def test_a_call_that_no_budget_can_ever_pay_is_refused_as_too_large(tasks: TaskGroup) -> None:
    purse = Purse("a", Till(1_000).ask, clock=ManualClock(), tasks=tasks)
    with pytest.raises(CallTooLarge, match="lower `most`"):
        await purse.take(1_001, until=10.0)


async def test_a_call_waits_for_the_next_window_if_its_budget_says_so_and_it_has_time(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(1_000, queue=True, wait=3_600.0)
    purse, got = Purse("a", till.ask, clock=clock, tasks=tasks), list[int]()
    till.has = 0

    async def call() -> None:
        got.append((await purse.take(100, until=100.0)).amount)

    async with anyio.create_task_group() as callers:
        callers.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        till.has = 1_000  # the budget was raised, or its window ended
        await clock.advance(ASK_AGAIN)
    assert got == [100]


async def test_a_call_without_the_time_to_wait_is_told_when_the_window_ends(tasks: TaskGroup) -> None:
    till = Till(1_000, queue=True, wait=3_600.0)
    till.has = 10
    purse = Purse("a", till.ask, clock=ManualClock(), tasks=tasks)
    with pytest.raises(BudgetSpent, match="3600 s") as caught:
        await purse.take(100, until=2.0)
    assert caught.value.wait == 3_600.0


async def test_where_each_call_needs_a_lease_none_is_used_twice(tasks: TaskGroup) -> None:
    clock, till = ManualClock(), Till(10_000, left=None)
    purse = Purse("a", till.ask, clock=clock, tasks=tasks, exact=True)
    for _ in range(3):
        purse.settle(await purse.take(100, until=10.0), 1)
    assert till.asked == [(100, 100)] * 3
    assert purse.idle() == [1, 2, 3]


async def test_a_lease_that_comes_when_who_wanted_it_has_gone_is_in_the_purse(tasks: TaskGroup) -> None:
    till, scope = Till(1_000, left=None), anyio.CancelScope()
    till.held = anyio.Event()
    purse = Purse("a", till.ask, clock=ManualClock(), tasks=tasks)

    async def call() -> None:
        with scope:
            await purse.take(100, until=10.0)

    async with anyio.create_task_group() as callers:
        callers.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
    till.held.set()
    await anyio.wait_all_tasks_blocked()
    assert purse.take_nowait(100) is not None
