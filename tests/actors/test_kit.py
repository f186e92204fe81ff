"""The test kit itself: its clock, its probe and its stage."""

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import callboard.testing
from callboard import Actor, ActorSpec, Context, Grant, HandlerFailed, Message, NoSuchActor, receive
from callboard.errors import CallerError, WorldError
from callboard.testing import Faults, ManualClock, MemoryBroker, Probe, Stage

DOCS = Path(__file__).parents[2] / "docs" / "testing.md"


class Question(Message):
    text: str = ""


class Answer(Message):
    text: str = ""


class Note(Message):
    text: str = ""


class Desk(Actor):
    may = Grant(ask=("archive",), tell=("archive",), publish=("answered",))

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        found = await ctx.ask("archive", message, reply=Answer)
        await ctx.publish("answered", Note(text=found.text))
        return found


class TestManualClock:
    async def test_it_stands_still_until_it_is_moved(self) -> None:
        clock = ManualClock(now=1000.0)
        assert (clock.now(), clock.monotonic()) == (1000.0, 0.0)
        await clock.advance(2.5)
        assert (clock.now(), clock.monotonic()) == (1002.5, 2.5)

    async def test_sleepers_are_woken_at_their_own_moment_the_earliest_first(self) -> None:
        clock, woken = ManualClock(), list[tuple[str, float]]()

        async def sleep(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

        async with anyio.create_task_group() as tasks:
            for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a2", 1.0), ("late", 9.0)):
                tasks.start_soon(sleep, name, seconds)
            await anyio.lowlevel.checkpoint()
            await clock.advance(0.9)
            assert woken == []
            await clock.advance(4.1)
            assert woken == [("a", 1.0), ("a2", 1.0), ("b", 2.0), ("c", 3.0)]
            assert clock.sleepers == 1
            await clock.advance(5.0)

    async def test_one_who_sleeps_again_and_again_is_woken_each_time(self) -> None:
        clock, beats = ManualClock(), list[float]()

        async def beat() -> None:
            while True:
                await clock.sleep(1.0)
                beats.append(clock.monotonic())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            await anyio.lowlevel.checkpoint()
            await clock.advance(3.5)
            tasks.cancel_scope.cancel()
        assert beats == [1.0, 2.0, 3.0]
        assert clock.sleepers == 0

    async def test_no_time_is_no_sleep(self) -> None:
        clock = ManualClock()
        with anyio.fail_after(1):
            await clock.sleep(0.0)

    async def test_time_does_not_go_back(self) -> None:
        with pytest.raises(CallerError, match=r"advance\(-1\.0\): time only goes forward"):
            await ManualClock().advance(-1.0)


class TestProbe:
    async def test_it_records_answers_and_is_expected(self) -> None:
        archive = Probe("archive", Note, answers={Question: Answer(text="42")}, topics={"answered": Note})
        async with Stage([Desk, archive]) as stage:
            assert await stage.ask(Desk.question, Question(text="why")) == Answer(text="42")
            assert await archive.expect(Question) == Question(text="why")
            assert await archive.expect(Note) == Note(text="42")
            assert await stage.ask(archive.actor, Note()) is None
        assert archive.messages == [Question(text="why"), Note(text="42"), Note()]
        assert [received.sender for received in archive.received] == ["desk", "", ""]

    async def test_it_raises_what_it_is_told_to_raise(self) -> None:
        archive = Probe("archive", answers={Question: ValueError("on fire")})
        async with Stage([archive]) as stage:
            with pytest.raises(HandlerFailed, match="ValueError: on fire"):
                await stage.ask("archive", Question())
            assert await archive.expect(Question) == Question()

    async def test_what_is_expected_in_vain_says_what_came_instead(self) -> None:
        probe = Probe("sink", Question, Note)
        async with Stage([probe]) as stage:
            await stage.tell("sink", Note())
            await stage.wait_until(lambda: len(probe.received) == 1)
            with pytest.raises(AssertionError, match=r"sink received no Question within 0\.01 s; unclaimed: Note"):
                await probe.expect(Question, within=0.01)

    async def test_each_message_is_expected_once_in_order(self) -> None:
        probe = Probe("sink", Question, Note)
        async with Stage([probe]) as stage:
            for number in range(3):
                await stage.tell("sink", Note(text=str(number)))
                await stage.tell("sink", Question(text=str(number)))
            assert [(await probe.expect(Note)).text for _ in range(3)] == ["0", "1", "2"]
            assert [(await probe.expect(Question)).text for _ in range(3)] == ["0", "1", "2"]

    async def test_what_it_recorded_survives_a_restart(self) -> None:
        probe = Probe("sink", Note)
        async with Stage([probe]) as stage:
            await stage.ask("sink", Note(text="before"))
            stage.cell_of("sink").restart("sink")
            await stage.ask("sink", Note(text="after"))
        assert probe.messages == [Note(text="before"), Note(text="after")]


class TestStage:
    async def test_actors_of_several_cells_speak_with_each_other(self) -> None:
        far = ActorSpec(actor=Desk, name="desk", cell="far", may=Desk.may)
        archive = Probe("archive", answers={Question: Answer(text="42")})
        async with Stage([far, archive]) as stage:
            assert set(stage.cells) == {"far", "main"}
            assert stage.cell_of("desk") is stage.cells["far"]
            assert await stage.ask(Desk.question, Question()) == Answer(text="42")
            assert [row.actor for row in stage.rows()] == ["desk", "archive"]

    async def test_a_cut_cell_is_not_heard_and_does_not_hear(self) -> None:
        archive = Probe("archive", answers={Question: Answer(text="42")})
        async with Stage([archive]) as stage:
            stage.disconnect()
            with pytest.raises(NoSuchActor):
                await stage.ask("archive", Question())
            stage.reconnect()
            assert await stage.ask("archive", Question(), reply=Answer) == Answer(text="42")
            stage.disconnect("stage-caller")
            with pytest.raises(WorldError):
                await stage.ask("archive", Question())
            stage.reconnect("stage-caller")
            assert await stage.ask("archive", Question(), reply=Answer) == Answer(text="42")

    async def test_the_same_seed_is_the_same_run(self) -> None:
        async def run(seed: int) -> list[Message]:
            probe = Probe("sink", topics={"news": Note})
            async with Stage([probe], faults=Faults(lose=0.3, duplicate=0.3, reorder=0.3), seed=seed) as stage:
                for number in range(50):
                    await stage.publish("news", Note(text=str(number)))
                stage.broker.faults = Faults()
                await stage.publish("news", Note(text="last"))
                await stage.wait_until(lambda: Note(text="last") in probe.messages)
                await stage.wait_until(lambda: stage.row("sink").depth == 0)
            return probe.messages

        first, again, other = await run(1), await run(1), await run(2)
        assert first == again
        assert first != other
        assert len(set(map(str, first))) < 51

    async def test_what_is_lost_on_the_way_ends_at_the_deadline(self) -> None:
        archive = Probe("archive", answers={Question: Answer()})
        async with Stage([archive], faults=Faults(lose=1.0)) as stage:
            with pytest.raises(callboard.DeadlineExceeded):
                await stage.ask("archive", Question(), timeout=0.02)
        assert archive.received == []

    async def test_one_who_is_not_there_is_named_with_those_who_are(self) -> None:
        async with Stage([Probe("archive", Question)]) as stage:
            with pytest.raises(NoSuchActor, match="no actor named 'desk' is on this stage: archive"):
                stage.row("desk")

    async def test_waiting_in_vain_says_what_there_was(self) -> None:
        async with Stage([Probe("archive", Question)]) as stage:
            with pytest.raises(AssertionError, match=r"no event 'actor-held' .*there was nothing"):
                await stage.wait_event("actor-held", within=0.01)
            with pytest.raises(AssertionError, match="it does not hold after"):
                await stage.wait_until(lambda: False, within=0.01)

    async def test_the_block_s_own_error_leaves_it_as_it_is(self) -> None:
        class Slow(Actor):
            @receive
            async def note(self, message: Note, ctx: Context) -> None:
                await anyio.sleep_forever()

        async def block() -> None:
            async with Stage([Slow]) as stage:
                await stage.tell(Slow, Note())
                raise KeyError("mine")

        with anyio.fail_after(5), pytest.raises(KeyError, match="mine"):
            await block()

    async def test_its_folder_is_gone_afterwards(self) -> None:
        class Keeper(Actor):
            @receive
            async def note(self, message: Note, ctx: Context) -> None:
                await ctx.memory.put("a", 1)

        async with Stage([Keeper]) as stage:
            await stage.ask(Keeper.note, Note())
            folder = stage.folder
            assert (folder / "actors" / "keeper.db").exists()
        assert not folder.exists()


def test_the_kit_exports_what_it_says() -> None:
    assert sorted(callboard.testing.__all__) == [
        "CellTable", "Faults", "ManualClock", "MemoryBroker", "Probe", "Received", "ScriptedModel", "Stage",
    ]  # fmt: skip
    assert all(getattr(callboard.testing, name).__name__ == name for name in callboard.testing.__all__)
    assert isinstance(MemoryBroker().faults, Faults)
    with pytest.raises(AttributeError, match=r"module 'callboard\.testing' has no attribute 'Mock'"):
        callboard.testing.Mock  # noqa: B018  # pyright: ignore[reportUnusedExpression]  # what is tested


async def test_the_examples_of_the_documentation_run() -> None:
    blocks = DOCS.read_text(encoding="utf-8").split("```python\n")[1:]
    space: dict[str, Any] = {"__name__": "docs_testing"}
    for block in blocks:
        exec(compile(block.partition("```")[0], str(DOCS), "exec"), space)  # noqa: S102 - our own page
    tests = [value for name, value in space.items() if name.startswith("test_")]
    assert len(tests) >= 3
    for test in tests:
        await test()
