"""Credit: never more under way than allowed, in order of arrival, and nothing is lost when somebody gives up."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.bus import CreditBody
from callboard.bus.credit import BYTES, RETURN_AT, Account, Returns

MOST_MESSAGES, MOST_BYTES = 4, 100

Step = tuple[Literal["take", "take_nowait", "give", "cancel", "reset"], int]
STEP = st.one_of(
    st.tuples(st.just("take"), st.integers(0, 130)),
    st.tuples(st.just("take_nowait"), st.integers(0, 130)),
    st.tuples(st.just("give"), st.integers(1, 6)),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("reset"), st.just(0)),
)


@dataclass
class Model:
    """What the account should do, with lists."""

    held: list[int] = field(default_factory=list[int])
    waiting: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]])
    served: list[int] = field(default_factory=list[int])

    def fits(self, size: int) -> bool:
        return not self.held or (len(self.held) < MOST_MESSAGES and sum(self.held) + size <= MOST_BYTES)

    def serve(self) -> None:
        while self.waiting and self.fits(self.waiting[0][1]):
            who, size = self.waiting.popleft()
            self.held.append(size)
            self.served.append(who)


class Takers:
    """Tasks that take from the real account, and can be cancelled one by one."""

    def __init__(self, account: Account, tasks: TaskGroup) -> None:
        self.account, self._tasks = account, tasks
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.served: list[int] = []

    def start(self, who: int, size: int) -> None:
        self.scopes[who] = anyio.CancelScope()
        self._tasks.start_soon(self._take, who, size)

    async def _take(self, who: int, size: int) -> None:
        with self.scopes[who]:
            await self.account.take(size)
            self.served.append(who)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
async def test_an_account_does_what_a_simple_model_says(steps: list[Step]) -> None:
    account, model = Account(messages=MOST_MESSAGES, bytes=MOST_BYTES), Model()
    async with anyio.create_task_group() as tasks:
        takers = Takers(account, tasks)
        for who, (verb, number) in enumerate(steps):
            _do(verb, number, who, takers=takers, model=model)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            model.serve()
            assert takers.served == model.served
            assert (account.messages, account.bytes) == (len(model.held), sum(model.held))
            assert account.messages <= MOST_MESSAGES
            assert account.bytes <= MOST_BYTES or account.messages == 1
        tasks.cancel_scope.cancel()


def _do(verb: str, number: int, who: int, *, takers: Takers, model: Model) -> None:
    account = takers.account
    if verb == "take":
        model.waiting.append((who, number))
        takers.start(who, number)
    elif verb == "take_nowait":
        free = not model.waiting and model.fits(number)
        assert account.take_nowait(number) == free
        model.held.extend([number] * free)
    elif verb == "give":
        given_back, model.held = model.held[:number], model.held[number:]
        account.give(len(given_back), sum(given_back))
    elif verb == "cancel" and model.waiting:
        cancelled = model.waiting[number % len(model.waiting)]
        model.waiting.remove(cancelled)
        takers.scopes[cancelled[0]].cancel()
    elif verb == "reset":
        model.held = []
        account.reset()


async def test_a_cancelled_take_leaves_the_credit_as_it_was() -> None:
    account = Account(messages=1, bytes=100)
    await account.take(10)
    with anyio.move_on_after(0):
        await account.take(20)
    assert (account.messages, account.bytes) == (1, 10)
    account.give(1, 10)
    assert (account.messages, account.bytes) == (0, 0)
    assert account.take_nowait(30)


async def test_credit_given_in_the_moment_of_the_cancel_is_not_lost() -> None:
    """The turn is given, and before the task runs it is cancelled: the next one in line gets it."""
    account = Account(messages=1, bytes=100)
    assert account.take_nowait(1)
    one, other = [asyncio.create_task(account.take(10)) for _ in range(2)]  # a scope would let the first one finish
    await anyio.wait_all_tasks_blocked()
    account.give(1, 1)
    assert account.messages == 1
    one.cancel()
    await other
    assert one.cancelled()
    assert (account.messages, account.bytes) == (1, 10)


async def test_when_a_large_one_at_the_head_gives_up_the_small_one_behind_it_goes_on() -> None:
    account = Account(messages=10, bytes=100)
    assert account.take_nowait(60)
    async with anyio.create_task_group() as tasks:
        takers = Takers(account, tasks)
        takers.start(1, 90)
        takers.start(2, 10)
        await anyio.wait_all_tasks_blocked()
        assert takers.served == []
        takers.scopes[1].cancel()
        await anyio.wait_all_tasks_blocked()
        assert takers.served == [2]


async def test_nobody_overtakes_who_waits() -> None:
    account = Account(messages=10, bytes=100)
    assert account.take_nowait(60)
    async with anyio.create_task_group() as tasks:
        takers = Takers(account, tasks)
        takers.start(1, 90)
        await anyio.wait_all_tasks_blocked()
        assert not account.take_nowait(1)
        account.give(1, 60)
        await anyio.wait_all_tasks_blocked()
        assert takers.served == [1]


def test_one_message_may_always_be_under_way_however_large() -> None:
    account = Account(messages=2, bytes=10)
    assert account.take_nowait(1000)
    assert not account.take_nowait(0)


def test_more_credit_than_was_taken_makes_nobody_rich() -> None:
    account = Account(messages=2, bytes=10)
    assert account.take_nowait(5)
    account.give(100, 1000)
    assert (account.messages, account.bytes) == (0, 0)
    assert account.take_nowait(5)
    assert account.take_nowait(5)
    assert not account.take_nowait(1)


# --- the other side

TAKEN = st.tuples(st.sampled_from(["_CB.a.r", "_CB.b.r"]), st.sampled_from(["one", "two"]), st.integers(0, 5000))


class Till:
    """Returns, what they sent, and what is to be called later."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, CreditBody]] = []
        self.due: list[Callable[[], None]] = []
        self.returns = Returns(
            lambda address, body: self.sent.append((address, body)), later=lambda _, call: self.due.append(call)
        )


@given(st.lists(TAKEN, max_size=60))
def test_what_is_returned_is_what_was_taken_once(taken: list[tuple[str, str, int]]) -> None:
    till = Till()
    for address, actor, size in taken:
        till.returns.add(address, actor, size)
    for call in till.due:
        call()
    wanted = {(address, actor) for address, actor, _ in taken}
    assert {(address, body.actor) for address, body in till.sent} == wanted
    assert len(till.sent) == len(wanted)
    for address, body in till.sent:
        mine = [each[2] for each in taken if each[:2] == (address, body.actor)]
        assert (body.messages, body.bytes) == (len(mine), sum(mine))


@pytest.mark.parametrize(("size", "most"), [(0, RETURN_AT), (BYTES // 16, 4)])
def test_credit_is_returned_at_a_quarter_of_messages_or_bytes_without_waiting(size: int, most: int) -> None:
    till = Till()
    for number in range(most):
        assert not till.sent
        till.returns.add("_CB.a.r", "one", size)
        assert len(till.due) == 1, number
    assert till.sent == [("_CB.a.r", CreditBody("one", most, size * most))]
