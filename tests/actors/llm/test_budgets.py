"""Budgets: what may be spent is never passed, each line is an event, and what lies beyond it waits or fails typed."""

import anyio
import pytest
from tests.manual_clock import ManualClock

from callboard import (
    Actor,
    BudgetSpent,
    BudgetTable,
    CallTooLarge,
    Context,
    Grant,
    HandlerFailed,
    Message,
    ModelTable,
    receive,
)  # fmt: skip
from callboard.actors.llm import Usage
from callboard.testing import ScriptedModel, Stage

from .conftest import PRICE, Played, all_costs, config_of, office_of

pytestmark = pytest.mark.anyio

MOST = 1_000
SAID = Usage(input=100, output=MOST)
COST = 100 * 1_000 + MOST * 2_000
"""Of one call, in nano-dollars: 2.1 thousandths of a dollar."""
DOLLAR = 1_000_000_000


class Ask(Message):
    what: str
    urgent: bool = False
    model: str = ""


class Text(Message):
    text: str


class Writer(Actor):
    concurrency = 256

    @receive
    async def write(self, message: Ask, ctx: Context) -> Text:
        llm = ctx.llm.using(most=MOST, cache=False, urgent=message.urgent, model=message.model)
        return Text(text=await llm.text("Write of {{what}}", what=message.what))


class Teller(Actor):
    @receive
    async def tell(self, message: Ask, ctx: Context) -> Text:
        async with ctx.llm.using(most=MOST).stream("Tell of {{what}}", what=message.what) as pieces:
            async for piece in pieces:
                if message.urgent:
                    return Text(text=piece)
        return Text(text="")


def speak(model: ScriptedModel) -> None:
    """Let the model use all the tokens that it may, each time."""
    model.answer = None
    for _ in range(300):
        model.say("well", usage=SAID)


async def write(stage: Stage, what: str = "it", *, urgent: bool = False, model: str = "") -> str:
    message = Ask(what=what, urgent=urgent, model=model)
    return (await stage.ask(Writer.write, message, timeout=20.0)).text


def day(dollars: float, **lines: float) -> BudgetTable:
    return BudgetTable(dollars=dollars, per="day", **lines)  # type: ignore[arg-type]  # shares


async def until_refused(stage: Stage) -> tuple[int, str]:
    """Return how many calls were paid, and what the one after them was told."""
    for paid in range(200):
        try:
            await write(stage)
        except (BudgetSpent, CallTooLarge) as error:
            return paid, error.text
    raise AssertionError("nothing was ever refused")


async def test_a_budget_that_is_spent_stops_calls_and_says_when_its_window_ends(
    play: Played, model: ScriptedModel
) -> None:
    speak(model)
    async with play(Writer, budgets=(day(0.1),)) as stage:
        paid, why = await until_refused(stage)
        event = await stage.wait_event("budget-spent")
        costs = await all_costs(stage)
    assert paid == len(model.requests)
    assert 40 <= paid <= 47, "near its end a lease is for exactly one call"
    assert costs.cost == paid * COST <= 0.1 * DOLLAR
    assert "its window ends in" in why
    assert event.subject == "the fleet's budget for the day"


async def test_the_first_line_warns_once(play: Played, model: ScriptedModel) -> None:
    speak(model)
    async with play(Writer, budgets=(day(0.1, warn=0.5),)) as stage:
        await until_refused(stage)
        assert len(stage.events_of("budget-warns")) == 1


async def test_from_the_line_to_step_down_the_cheaper_model_is_asked(play: Played, model: ScriptedModel) -> None:
    speak(model)
    cheap = ModelTable(name="cheap", endpoint="here", price=PRICE)
    budgets = (day(0.1, step_down=0.5),)
    async with play(Writer, budgets=budgets, own={"cheaper": "cheap"}, models=(cheap,)) as stage:
        await until_refused(stage)
        await stage.wait_event("budget-steps-down")
    asked = [request.body["model"] for request in model.requests]
    assert asked[0] == "scripted"
    assert asked[-1] == "cheap"
    assert asked == sorted(asked, reverse=True), "never back"


async def test_a_stream_steps_down_too(play: Played, model: ScriptedModel) -> None:
    speak(model)
    cheap = ModelTable(name="cheap", endpoint="here", price=PRICE)
    async with play(Teller, budgets=(day(0.1, step_down=0.5),), own={"cheaper": "cheap"}, models=(cheap,)) as stage:
        for _ in range(30):
            await stage.ask(Teller.tell, Ask(what="it"))
    asked = [request.body["model"] for request in model.requests]
    assert 20 <= asked.count("scripted") <= 25
    assert asked[-1] == "cheap"


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_is_cut_costs_what_its_usage_says_and_is_asked_for_once(
    play: Played, model: ScriptedModel, streamed: bool
) -> None:
    model.say("once upon", usage=Usage(input=10, output=10), finish="length")
    async with play(Writer, Teller, budgets=(day(1.0),)) as stage:
        with pytest.raises(HandlerFailed, match=r"AnswerCut.*raise `most`"):
            await (stage.ask(Teller.tell, Ask(what="it")) if streamed else write(stage))
        file = await office_of(stage)
        rows = await file.db.read(lambda conn: conn.execute("SELECT how, cost, output FROM ledger").fetchall())
    assert rows == [("cut", 30_000, 10)]
    assert len(model.requests) == 1


async def test_from_the_line_to_queue_calls_wait_and_what_is_urgent_goes_on(play: Played, model: ScriptedModel) -> None:
    speak(model)
    async with play(Writer, budgets=(day(0.1, queue=0.5),), timeout=1.0) as stage:
        paid, why = await until_refused(stage)
        assert paid <= 24
        assert "its window ends in" in why, "the call had no time until then"
        assert "up to its line to queue" in why
        await stage.wait_event("budget-queues")
        assert await write(stage, urgent=True) == "well"


async def test_each_actor_has_its_own_where_the_budget_says_so(play: Played, model: ScriptedModel) -> None:
    class Other(Writer):
        pass

    speak(model)
    budget = BudgetTable(dollars=0.01, scope="actor", per="hour", actor="writer")
    async with play(Writer, Other, budgets=(budget,)) as stage:
        await until_refused(stage)
        for _ in range(5):
            await stage.ask(Other.write, Ask(what="it"))


async def test_a_tree_of_messages_has_its_own_budget_whoever_spends_it(play: Played, model: ScriptedModel) -> None:
    class Boss(Actor):
        may = Grant(ask=("writer",))

        @receive
        async def start(self, message: Ask, ctx: Context) -> Text:
            done = 0
            try:
                for _ in range(20):
                    await ctx.ask(Writer.write, message)
                    done += 1
            except BudgetSpent as error:
                return Text(text=f"{done} {error.text}")
            return Text(text="all")

    speak(model)
    async with play(Boss, Writer, budgets=(BudgetTable(dollars=0.01, scope="tree"),)) as stage:
        first, second = [(await stage.ask(Boss.start, Ask(what="it"))).text for _ in range(2)]
    assert first.startswith("4 ")
    assert second.startswith("4 "), "another tree has a budget of its own"
    assert "task tree" in first


async def test_a_call_that_costs_more_than_one_may_is_refused_before_it_is_made(
    play: Played, model: ScriptedModel
) -> None:
    async with play(Writer, budgets=(BudgetTable(dollars=0.001, scope="call"),)) as stage:
        with pytest.raises(CallTooLarge, match="the budget of one call is"):
            await write(stage)
    assert model.requests == []


async def test_two_hundred_at_once_spend_no_more_than_there_is(play: Played, model: ScriptedModel) -> None:
    speak(model)
    refused = 0

    async def ask() -> None:
        nonlocal refused
        try:
            await write(stage)
        except BudgetSpent:
            refused += 1

    async with play(Writer, budgets=(day(0.1),)) as stage:
        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(ask)
        costs = await all_costs(stage)
    assert costs.cost == len(model.requests) * COST <= 0.1 * DOLLAR
    assert refused == 200 - len(model.requests)
    assert len(model.requests) >= 40


async def test_a_clock_that_jumps_ahead_and_back_gives_no_window_twice(model: ScriptedModel) -> None:
    """Each day has its own money, and the day of before is found again as it was left."""
    speak(model)
    clock, first, second, third = ManualClock(start=1_700_006_400.0), 0, 0, 1
    async with (
        Stage([Writer], llm=config_of(model.url, day(0.01)), clock=clock) as stage,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_pass_time, clock)
        first, _ = await until_refused(stage)
        clock._start += 86_400.0
        second, _ = await until_refused(stage)
        clock._start -= 86_400.0
        third, _ = await until_refused(stage)
        tasks.cancel_scope.cancel()
    assert first == second > 0
    assert third == 0


async def _pass_time(clock: ManualClock) -> None:
    while True:
        await clock.advance(0.05)
        await anyio.sleep(0.001)


async def test_money_that_was_leased_and_not_spent_goes_back(play: Played, model: ScriptedModel) -> None:
    speak(model)
    async with play(Writer, budgets=(day(1.0),)) as stage:
        await write(stage)
        file = await office_of(stage)
        [before] = await file.windows(stage.clock.now())
        await stage.cell_of("writer").minds().leave(within=3.0)
        [after] = await file.windows(stage.clock.now())
    assert before.reserved > 0
    assert (after.spent, after.reserved) == (COST, 0)


async def test_a_stream_that_is_left_early_counts_with_all_that_it_could_have_cost(
    play: Played, model: ScriptedModel
) -> None:
    model.answer = None
    async with play(Teller, budgets=(day(1.0),)) as stage:
        for urgent in (False, True):
            model.say("once upon a time " * 20, usage=Usage(input=10, output=10))
            await stage.ask(Teller.tell, Ask(what="it", urgent=urgent))
        file = await office_of(stage)
        rows = await file.db.read(
            lambda conn: conn.execute("SELECT how, cost, worst FROM ledger ORDER BY number").fetchall()
        )
    assert rows[0][:2] == ("ok", 30_000)
    assert rows[1][0] == "cancelled"
    assert rows[1][1] == rows[1][2] > 30_000
