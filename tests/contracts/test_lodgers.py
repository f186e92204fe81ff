"""Spawned actors live behind their cell's address: found there, in order, and known to be gone at once."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import msgspec
import pytest

from callboard.bus import (
    ActorDied,
    Census,
    Endpoint,
    Entry,
    Kind,
    Movement,
    NoSuchActor,
    NoticeBody,
    Registry,
    decode_body,
    encode,
    subjects,
)
from callboard.clock import SystemClock

from .conftest import OpenBus, OpenStage
from .ear import WITHIN, Ear
from .raw_actor import RawActor, body_of
from .stage import SOON, Outcome, Stage, speaking

_movement = msgspec.msgpack.Decoder(Movement)
KID = "kid"


class Home:
    """A cell whose actors are played by hand."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.registry = endpoint, Registry(endpoint)
        self.kid = RawActor(endpoint.bus, endpoint.fleet, KID)

    async def spawn(self, name: str = KID, **topics: Callable[[str, bytes, str], None]) -> Entry:
        """Have an actor live here."""
        entry = Entry(self.kid._take, topics)
        await self.registry.enter(name, entry)
        await self.endpoint.bus.flush()  # as when its name came from here
        return entry


@asynccontextmanager
async def homes(open_bus: OpenBus, stage: Stage, *names: str) -> AsyncGenerator[list[Home]]:
    """Open cells, and let the stage's daemon know who lives there."""
    census = Census(clock=SystemClock())
    heard = Ear()

    def on_movement(subject: str, data: bytes, reply: str) -> None:
        census.take(subjects.parse(subject).cell, decode_body(_movement, data))
        heard.hear(subject, data, reply)

    stage.whereabouts = Answers(census)
    await stage.daemon.hear("movement", on_movement)
    await stage.daemon.bus.flush()
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            bus = await stack.enter_async_context(open_bus())
            found.append(Home(await stack.enter_async_context(speaking(bus, stage.fleet, name))))
            await found[-1].registry.open()
            await bus.flush()
        await heard.wait(len(names))
        yield found


class Answers(dict[str, str]):
    """What the stage's daemon says."""

    def __init__(self, census: Census) -> None:
        super().__init__()
        self.census = census

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]  # as the stage asks
        """Ask the census."""
        return self.census.where(key)


async def test_a_spawned_actor_is_found_at_its_cell_without_an_interest_of_its_own(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home], anyio.create_task_group() as tasks:
        await home.spawn()
        outcome = Outcome()
        tasks.start_soon(outcome.run, stage.ask(KID, body="where"))
        [question] = await home.kid.wait(Kind.ASK)
        home.kid.reply(question, "in the attic")
        assert body_of((await outcome.wait()).value) == "in the attic"
        assert stage.asked == [KID]
        tasks.start_soon(outcome.run, stage.ask(KID))
        await home.kid.wait(Kind.ASK, 2)
        assert stage.asked == [KID], "it is known from now on"
        home.kid.reply(home.kid.of(Kind.ASK)[1], "")


async def test_what_is_told_to_a_spawned_actor_arrives_in_order_from_the_first_word_on(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        await home.spawn()
        for number in range(300):
            await stage.tell(number, name=KID)
        told = await home.kid.wait(Kind.TELL, 300)
        assert [body_of(each) for each in told] == list(range(300))


async def test_one_that_has_left_is_known_to_be_gone_at_once_and_by_whom_it_was_known(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        entry = await home.spawn()
        await stage.tell("hello", name=KID)
        await home.registry.leave(KID, entry)
        began = time.monotonic()
        with pytest.raises(NoSuchActor, match=KID):
            await stage.ask(KID)
        assert time.monotonic() - began < SOON


async def test_one_that_moved_is_found_in_its_new_cell(open_bus: OpenBus, open_stage: OpenStage) -> None:
    async with open_stage() as stage, homes(open_bus, stage, "attic", "cellar") as [attic, cellar]:
        entry = await attic.spawn()
        await stage.tell("one", name=KID)
        await attic.kid.wait(Kind.TELL)
        await attic.registry.leave(KID, entry)
        await cellar.spawn()
        await stage.tell("two", name=KID)
        [two] = await cellar.kid.wait(Kind.TELL)
        assert body_of(two) == "two"
        assert len(attic.kid.of(Kind.TELL)) == 1


async def test_who_waits_for_a_spawned_actor_hears_at_once_that_its_cell_died(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    outcome = Outcome()
    async with open_stage() as stage, anyio.create_task_group() as tasks:
        async with homes(open_bus, stage, "attic") as [home]:
            await home.spawn()
            tasks.start_soon(outcome.run, stage.ask(KID, timeout=60.0))
            await home.kid.wait(Kind.ASK)
        census = stage.whereabouts.census  # type: ignore[attr-defined]  # set above
        stage.daemon.notify(NoticeBody("", "down", "killed", more=census.of("attic")))
        census.bury("attic", 0)
        await outcome.wait(within=SOON * 2)
        assert isinstance(outcome.error, ActorDied)
        with pytest.raises(NoSuchActor):
            await stage.ask(KID)


async def test_of_an_event_each_spawned_actor_has_one_copy_over_one_interest(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        ears = {f"kid-{number}": Ear() for number in range(3)}
        entries = {name: await home.spawn(name, news=ear.hear) for name, ear in ears.items()}
        await home.endpoint.bus.flush()
        stage.speaker.bus.publish(subjects.topic(stage.fleet, "news", sender="front"), b"{}")
        for ear in ears.values():
            await ear.wait(1)
        await home.registry.leave("kid-0", entries["kid-0"])
        stage.speaker.bus.publish(subjects.topic(stage.fleet, "news", sender="front"), b"{}")
        await ears["kid-1"].wait(2)
        await ears["kid-2"].wait(2)
        assert len(ears["kid-0"].heard) == 1
        for name in ("kid-1", "kid-2"):
            await home.registry.leave(name, entries[name])
        stage.speaker.bus.publish(subjects.topic(stage.fleet, "news", sender="front"), b"{}")
        await stage.speaker.bus.flush()
        await home.endpoint.bus.flush()
        assert len(ears["kid-1"].heard) == 2


async def test_a_word_to_nobody_that_wants_no_answer_or_another_mailbox_is_left_alone(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    """Only an endpoint's own return address is told that nobody is home: any other could be a mailbox."""
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        victim = subjects.mailbox(stage.fleet, stage.actor.name, sender="attic")
        to_nobody = subjects.lodging(stage.fleet, "attic", actor="nobody", sender="front")
        stage.speaker.bus.publish(to_nobody, encode(None), reply=victim)
        stage.speaker.bus.publish(to_nobody, encode(None))
        await stage.speaker.bus.flush()
        await home.endpoint.bus.flush()
        await stage.actor.bus.flush()
        assert not stage.actor.refused


async def test_who_lives_where_is_said_again_when_it_is_asked_for(open_bus: OpenBus, open_stage: OpenStage) -> None:
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        await home.spawn()
        heard = Ear()
        await stage.daemon.hear("movement", heard.hear)
        await stage.daemon.bus.flush()
        stage.daemon.bus.publish(subjects.system(stage.fleet, "census", sender="daemon"), b"")
        [said] = [decode_body(_movement, data) for data in await heard.wait(1, within=WITHIN)]
        assert said.whole
        assert list(said.here) == [KID]


async def test_who_waits_for_one_that_ended_without_an_answer_hears_so(
    open_bus: OpenBus, open_stage: OpenStage
) -> None:
    """Its frame may be forgotten by then: the news that it ended settles what is open, and the credit too."""
    outcome = Outcome()
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home], anyio.create_task_group() as tasks:
        entry = await home.spawn()
        await stage.tell("hello", name=KID)
        tasks.start_soon(outcome.run, stage.ask(KID, timeout=60.0))
        await home.kid.wait(Kind.ASK)
        await home.registry.leave(KID, entry)
        home.endpoint.notify(NoticeBody(KID, "ended", "its parent ended"))
        await outcome.wait(within=SOON * 2)
        assert isinstance(outcome.error, ActorDied)
        assert KID not in stage.speaker._accounts  # pyright: ignore[reportPrivateUsage]  # it has no public name


async def test_one_that_is_spawned_anew_again_and_again_is_found_each_time(
    open_bus: OpenBus, open_stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callboard.bus.homeless._WITHIN", 0.2)
    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        begin = anyio.current_time()
        while anyio.current_time() < begin + 0.8:
            entry = await home.spawn()
            await stage.tell("hello", name=KID)
            await home.registry.leave(KID, entry)
            home.endpoint.notify(NoticeBody(KID, "ended", "for a while"))
            await stage.speaker.bus.flush()
            await home.endpoint.bus.flush()


async def test_a_receiver_that_fails_costs_its_siblings_no_event(open_bus: OpenBus, open_stage: OpenStage) -> None:
    def fail(_subject: str, _data: bytes, _reply: str) -> None:
        raise ValueError

    async with open_stage() as stage, homes(open_bus, stage, "attic") as [home]:
        ear = Ear()
        await home.spawn("kid-0", news=fail)
        await home.spawn("kid-1", news=ear.hear)
        await home.endpoint.bus.flush()
        stage.speaker.bus.publish(subjects.topic(stage.fleet, "news", sender="front"), b"{}")
        await ear.wait(1)
