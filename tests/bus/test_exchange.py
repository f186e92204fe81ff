"""Neighbours: what is said inside one process does not cross the server, and otherwise nothing is different."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from callboard import Actor, Context, Fleet, Grant, HandlerFailed, Message, MessageRefused, NoSuchActor, receive
from callboard.bus import Exchange


class Say(Message):
    text: str = ""
    number: int = 0


class Said(Message):
    text: str
    number: int


class Desk(Actor):
    """Passes on to its neighbour."""

    may = Grant(ask=("clerk",))

    @receive
    async def say(self, message: Say, ctx: Context) -> Said:
        return await ctx.ask(Clerk.say, message)


class Clerk(Actor):
    """Answers in capitals, and may speak to nobody."""

    @receive
    async def say(self, message: Say, ctx: Context) -> Said:
        if message.text == "trespass":
            await ctx.ask("desk", message)
        if message.text == "fail":
            raise ValueError("no")
        return Said(text=message.text.upper(), number=message.number)


@asynccontextmanager
async def a_fleet(*, local: bool) -> AsyncGenerator[Fleet]:
    async with Fleet("neighbours", [Desk, Clerk], local=local) as fleet:
        yield fleet


def passed(fleet: Fleet) -> int:
    exchange = fleet._endpoint.exchange
    return 0 if exchange is None else exchange.passed


@pytest.mark.parametrize("local", [True, False])
async def test_what_is_said_inside_a_process_takes_the_short_way_unless_it_is_turned_off(local: bool) -> None:
    async with a_fleet(local=local) as fleet:
        assert await fleet.ask(Desk.say, Say(text="hi", number=7)) == Said(text="HI", number=7)
        assert (passed(fleet) >= 4) == local  # two questions, two answers
        sent = fleet._endpoint.bus.statistics().sent
        for _ in range(100):
            await fleet.ask(Clerk.say, Say())
        assert (fleet._endpoint.bus.statistics().sent - sent < 20) == local


@pytest.mark.parametrize("local", [True, False])
async def test_neighbours_are_refused_what_all_are_refused(local: bool) -> None:
    wrong = Say(text="x")
    bad = Say(text=5)  # type: ignore[arg-type]
    async with a_fleet(local=local) as fleet:
        with pytest.raises(MessageRefused) as refused:
            await fleet.ask(Clerk.say, bad)
        assert refused.value.detail["path"] == "$.text"
        with pytest.raises(HandlerFailed, match="PermissionDenied: clerk may not ask 'desk'"):
            await fleet.ask(Clerk.say, Say(text="trespass"))
        with pytest.raises(NoSuchActor):
            await fleet.ask("nobody", wrong)


@pytest.mark.parametrize("local", [True, False])
async def test_what_is_said_in_one_turn_keeps_its_order(local: bool) -> None:
    async with a_fleet(local=local) as fleet:
        answers: list[int] = []

        async def ask(number: int) -> None:
            answers.append((await fleet.ask(Clerk.say, Say(number=number))).number)

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(ask, number)
        assert answers == list(range(200))


@pytest.mark.parametrize("local", [True, False])
async def test_each_of_many_questions_that_are_refused_at_once_hears_so(local: bool) -> None:
    """Between neighbours a refusal comes back while the batch is still being sent."""

    class Unknown(Message):
        pass

    async with a_fleet(local=local) as fleet:
        refused: list[str] = []

        async def ask() -> None:
            with pytest.raises(MessageRefused, match="not 'Unknown'"):
                await fleet.ask("clerk", Unknown(), timeout=5.0)
            refused.append("")

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(ask)
        assert len(refused) == 200


def test_a_receiver_that_fails_harms_nobody_who_speaks_to_it() -> None:
    exchange = Exchange()

    def fail(_subject: str, _data: bytes, _reply: str) -> None:
        raise ValueError("bad bytes")

    exchange.open_mailbox("cb.shop.to.desk", fail)
    receiver = exchange.find("cb.shop.to.desk.front")
    assert receiver is not None
    exchange.pass_on(receiver, "cb.shop.to.desk.front", b"")
    assert (exchange.passed, exchange.refused) == (1, 1)
    exchange.close("cb.shop.to.desk", print)
    assert exchange.find("cb.shop.to.desk.front") is fail, "it has passed to another"
    exchange.close("cb.shop.to.desk", fail)
    assert exchange.find("cb.shop.to.desk.front") is None
