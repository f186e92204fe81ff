"""A cell asks no faster than its share, one model's actors in turn, and says so when a call will never fit."""

import math

import anyio
import pytest
from tests.manual_clock import ManualClock

from callboard.actors.llm import CallTooLarge, ModelBusy
from callboard.actors.llm.calls.pace import BURST_REQUESTS, MINUTE, Bucket, Pace
from callboard.actors.office import BURST_TOKENS, Rate
from callboard.clock import SystemClock

pytestmark = pytest.mark.anyio


class Desk:
    """An office that gives one rate for long."""

    def __init__(self, rate: Rate) -> None:
        self.rate, self.asked = rate, 0

    async def ask(self, _actors: int, _tokens: int) -> Rate:
        self.asked += 1
        return self.rate


async def passed(pace: Pace, count: int, within: float, tokens: int = 0) -> int:
    """Return how many of so many calls pass in a time."""
    through = 0

    async def call() -> None:
        nonlocal through
        await pace.pass_through("a", tokens, until=math.inf)
        through += 1

    with anyio.move_on_after(within):
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(call)
    return through


async def test_no_minute_sees_more_requests_than_the_limit() -> None:
    limit = 1_200.0
    pace = Pace("m", Desk(Rate(requests=limit, left=60.0)).ask, clock=SystemClock(), limited=True)
    through = await passed(pace, 1_000, within=0.5)
    burst, leaked = limit * BURST_REQUESTS, 0.5 * limit * (1 - BURST_REQUESTS) / MINUTE
    assert burst - 1 <= through <= burst + leaked + 2
    assert burst + limit * (1 - BURST_REQUESTS) <= limit


async def test_a_new_share_lets_no_second_burst_through() -> None:
    bucket = Bucket(BURST_REQUESTS)
    bucket.set(400.0)
    for _ in range(100):
        await bucket.acquire(1.0)
    bucket.set(200.0)
    with anyio.move_on_after(0.05) as scope:
        await bucket.acquire(1.0)
    assert scope.cancelled_caught


async def test_a_rate_that_is_good_is_not_asked_for_again() -> None:
    desk = Desk(Rate(requests=60_000.0, left=60.0))
    pace = Pace("m", desk.ask, clock=SystemClock(), limited=True)
    assert await passed(pace, 50, within=5.0) == 50
    assert desk.asked == 1


async def test_a_model_without_limits_asks_nobody() -> None:
    desk = Desk(Rate())
    assert await passed(Pace("m", desk.ask, clock=SystemClock(), limited=False), 100, within=5.0) == 100
    assert desk.asked == 0


async def test_a_call_larger_than_the_limit_lets_through_at_once_is_refused_by_what_it_could_do() -> None:
    desk = Desk(Rate(most_tokens=1_000.0 * BURST_TOKENS))
    with pytest.raises(CallTooLarge, match="tokens_per_minute"):
        await Pace("m", desk.ask, clock=SystemClock(), limited=True).pass_through("a", 600, until=math.inf)


async def test_an_endpoint_that_wants_rest_is_left_alone_for_so_long() -> None:
    clock = ManualClock()
    pace = Pace("m", Desk(Rate()).ask, clock=clock, limited=False)
    pace.rest(10.0)
    through = list[bool]()

    async def call() -> None:
        await pace.pass_through("a", 1, until=math.inf)
        through.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(9.9)
        assert through == []
        await clock.advance(0.2)
    assert through == [True]


async def test_who_has_not_the_time_for_that_rest_is_told_at_once() -> None:
    clock = ManualClock()
    pace = Pace("m", Desk(Rate()).ask, clock=clock, limited=False)
    pace.rest(3_600.0)
    with pytest.raises(ModelBusy, match="rest of 3600") as caught:
        await pace.pass_through("a", 1, until=clock.monotonic() + 60.0)
    assert caught.value.wait == 3_600.0


async def test_a_rate_that_comes_too_late_is_an_error_of_its_own() -> None:
    pace = Pace("m", Desk(Rate(requests=4.0, left=60.0)).ask, clock=SystemClock(), limited=True)
    await pace.pass_through("a", 1, until=math.inf)
    with pytest.raises(ModelBusy, match="its rate did not come"):
        await pace.pass_through("a", 1, until=SystemClock().monotonic() + 0.05)
