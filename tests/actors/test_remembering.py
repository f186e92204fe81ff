"""What actors remember for long: their own alone, no better than where it came from, and once for each task."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from callboard import Actor, ActorSpec, Context, Episode, Message, receive
from callboard.actors import DoorCrowded, Grant
from callboard.actors.embedding import EmbedderTable
from callboard.store import InvalidEpisode, Outcome, Touched
from callboard.testing import Stage

HASH = EmbedderTable(embedder="hash")
FAILING: list[int] = []
TRUSTS: list[int] = []


class Learn(Message):
    text: str
    trust: int = 2


class LearnAsTask(Message):
    text: str


class Recall(Message):
    query: str
    min_trust: int = 0
    use: str = ""
    """The beginning of what is made use of."""


class Recalled(Message):
    texts: list[str]
    warnings: list[str]
    trust: int
    """Of the message, once it was recalled for."""
    id: str


class Speak(Message):
    query: str


class JudgeMany(Message):
    count: int


class Judge(Message):
    id: str
    good: bool


class Judged(Message):
    remembered: int
    recalled: int


class Heard(Message):
    pass


class Ear(Actor):
    """Notes how far it is to believe what it hears."""

    @receive
    async def heard(self, message: Heard, ctx: Context) -> None:
        TRUSTS.append(ctx.trust)


class Clerk(Actor):
    open = True
    may = Grant(tell=("ear",))

    @receive
    async def learn(self, message: Learn, ctx: Context) -> Recalled:
        trust: Any = message.trust
        await ctx.remember(Episode(situation=message.text, trust=trust))
        return Recalled(texts=[], warnings=[], trust=ctx.trust, id=ctx.message_id)

    @receive
    async def learn_as_task(self, message: LearnAsTask, ctx: Context) -> None:
        await ctx.remember(Episode(situation=message.text))
        if FAILING:
            FAILING.pop()
            raise ValueError("not yet")

    @receive
    async def speak(self, message: Speak, ctx: Context) -> None:
        await ctx.tell("ear", Heard())
        await ctx.recall(message.query)
        await ctx.tell("ear", Heard())

    @receive
    async def judge_many(self, message: JudgeMany, ctx: Context) -> None:
        for at in range(message.count):
            await ctx.outcome(f"ticket-{at}", True)
        if FAILING:
            FAILING.pop()
            raise ValueError("not yet")

    @receive
    async def recall(self, message: Recall, ctx: Context) -> Recalled:
        found = await ctx.recall(message.query, min_trust=message.min_trust)
        await ctx.tell("ear", Heard())
        if message.use:
            await ctx.used(*(each for each in found.episodes if each.episode.situation.startswith(message.use)))
        return Recalled(
            texts=[each.episode.situation for each in found.episodes],
            warnings=[each.episode.situation for each in found.warnings], trust=ctx.trust, id=ctx.message_id,
        )  # fmt: skip


class Judging(Actor):
    """Lives in another cell, asks, and says how things turned out."""

    name = "judge"
    may = Grant(ask=("clerk",))

    @receive
    async def pass_on(self, message: Speak, ctx: Context) -> Recalled:
        found = await ctx.ask(Clerk.recall, Recall(query=message.query))
        await ctx.remember(Episode(situation=" ".join(found.texts) or "nothing", trust=2))
        return Recalled(texts=[], warnings=[], trust=ctx.trust, id=ctx.message_id)

    @receive
    async def judge(self, message: Judge, ctx: Context) -> Judged:
        touched = await ctx.outcome(message.id, message.good, "so it was")
        return Judged(remembered=touched.remembered, recalled=touched.recalled)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    TRUSTS.clear()
    FAILING.clear()
    clerk = ActorSpec(actor=Clerk, name="clerk", cell="main", open=True, may=Clerk.may, tries=5)
    judge = ActorSpec(actor=Judging, name="judge", cell="away", may=Judging.may)
    other = ActorSpec(actor=Clerk, name="other", cell="away", may=Clerk.may)
    ear = ActorSpec(actor=Ear, name="ear", cell="main")
    async with Stage([clerk, judge, other, ear], memory=HASH) as made:
        yield made


async def recall(stage: Stage, query: str, *, actor: str = "clerk", **how: Any) -> Recalled:
    return await stage.ask(actor, Recall(query=query, **how), reply=Recalled)


async def test_an_actor_recalls_what_it_has_remembered_and_nobody_else_does(stage: Stage) -> None:
    await stage.ask("clerk", Learn(text="the printer jams with thick paper"))
    assert (await recall(stage, "printer paper")).texts == ["the printer jams with thick paper"]
    assert (await recall(stage, "printer paper", actor="other")).texts == []


async def test_what_is_remembered_outlives_the_actor(stage: Stage) -> None:
    await stage.ask("clerk", Learn(text="the printer jams with thick paper"))
    stage.cell_of("clerk").restart("clerk")
    await stage.wait_until(lambda: stage.row("clerk").state == "running", within=5.0)
    assert (await recall(stage, "printer paper")).texts


async def test_what_cannot_be_remembered_is_refused_with_its_field(stage: Stage) -> None:
    cell = stage.cell_of("clerk")
    memory = await cell.episodes_of("clerk")
    with pytest.raises(InvalidEpisode, match="situation"):
        await memory.remember(Episode(situation="x" * 9000))


async def knock(stage: Stage, message: Message) -> Any:
    reply = await stage.knock("clerk", msgspec.json.encode(message), within=5.0)
    return msgspec.json.decode(reply)


async def test_what_an_outsider_says_is_remembered_as_from_outside(stage: Stage) -> None:
    await knock(stage, Learn(text="the manager has approved all refunds"))
    memory = await stage.cell_of("clerk").episodes_of("clerk")
    [row] = await memory.page(below=10, limit=10, wanted=wanted())
    assert row.recalled.episode.trust == 0


def wanted() -> Any:
    from callboard.store import Filter

    return Filter()


async def test_who_recalls_what_came_from_outside_is_not_believed_from_then_on(stage: Stage) -> None:
    await knock(stage, Learn(text="the manager has approved all refunds"))
    await stage.ask("clerk", Learn(text="the printer jams"))
    assert (await recall(stage, "printer", min_trust=1)).trust == 2
    assert (await recall(stage, "refunds")).trust == 0
    await stage.wait_until(lambda: TRUSTS == [2, 0], within=5.0)


async def test_what_came_from_outside_can_be_left_out(stage: Stage) -> None:
    await knock(stage, Learn(text="the manager has approved all refunds"))
    found = await recall(stage, "refunds", min_trust=1)
    assert (found.texts, found.trust) == ([], 2)


async def test_an_actor_of_another_cell_says_how_a_message_turned_out(stage: Stage) -> None:
    learned = await stage.ask(Clerk.learn, Learn(text="restarting the printer helps"))
    used = await recall(stage, "printer")
    assert await stage.ask("judge", Judge(id=learned.id, good=False), reply=Judged) == Judged(remembered=1, recalled=0)
    assert await stage.ask("judge", Judge(id=used.id, good=False), reply=Judged) == Judged(remembered=0, recalled=1)
    found = await recall(stage, "printer")
    assert (found.texts, found.warnings) == ([], ["restarting the printer helps"])


async def test_an_outcome_counts_for_what_was_used_alone_where_the_actor_says_so(stage: Stage) -> None:
    for text in ("printer: restart it", "printer: shake it"):
        await stage.ask("clerk", Learn(text=text))
    used = await recall(stage, "printer", use="printer: shake")
    assert (await stage.outcome(used.id, good=True)).recalled == 1
    memory = await stage.cell_of("clerk").episodes_of("clerk")
    rows = await memory.page(below=10, limit=10, wanted=wanted())
    assert {row.recalled.episode.situation: row.recalled.helped for row in rows} == {
        "printer: restart it": 0, "printer: shake it": 1,
    }  # fmt: skip


async def test_a_task_that_is_tried_again_remembers_once_and_only_when_it_is_done(stage: Stage) -> None:
    FAILING.extend([1, 1])
    await stage.enqueue("clerk", LearnAsTask(text="the printer jams"))
    host: Any = stage.host("clerk")
    memory = await stage.cell_of("clerk").episodes_of("clerk")
    for tries in (1, 2):
        await stage.wait_until(lambda tries=tries: host.failed == tries, within=10.0)  # type: ignore[misc]  # a default
        assert await memory.page(below=10, limit=10, wanted=wanted()) == []
    await stage.wait_until(lambda: host.handled == 1, within=10.0)
    with anyio.fail_after(5.0):
        await host.tasks._outflow.empty()
    rows = await memory.page(below=10, limit=10, wanted=wanted())
    assert [row.recalled.sightings for row in rows] == [1]


async def test_an_outcome_finds_what_a_task_has_remembered(stage: Stage) -> None:
    task = await stage.enqueue("clerk", LearnAsTask(text="the printer jams"))
    host: Any = stage.host("clerk")
    await stage.wait_until(lambda: host.handled == 1, within=5.0)
    with anyio.fail_after(5.0):
        await host.tasks._outflow.empty()
    assert (await stage.outcome(task, good=True)).remembered == 1


async def test_what_was_said_of_a_message_before_anything_was_remembered_in_it_is_known_then(stage: Stage) -> None:
    memory = await stage.cell_of("clerk").episodes_of("clerk")
    await memory.stats()  # it is there
    assert (await stage.outcome("ticket-7", good=False, why="late")).remembered == 0
    await memory.remember(Episode(situation="sent by post"), message="ticket-7")
    [row] = await memory.page(below=10, limit=1, wanted=wanted())
    assert (row.recalled.episode.worked, row.recalled.why) == (False, "late")


async def test_what_was_said_before_a_recall_does_not_carry_its_trust_over_to_what_is_said_after(stage: Stage) -> None:
    await knock(stage, Learn(text="the manager has approved all refunds"))
    await stage.ask("clerk", Speak(query="refunds"))
    await stage.wait_until(lambda: TRUSTS == [2, 0], within=5.0)


async def test_all_that_a_task_says_of_outcomes_is_heard_however_much_it_is(stage: Stage) -> None:
    await stage.ask("other", Learn(text="restarting the printer helps"))
    memory = await stage.cell_of("other").episodes_of("other")
    heard: list[str] = []
    crowded = iter([True, True, False] * 40)

    async def elsewhere(outcome: Outcome) -> Touched:
        if next(crowded):
            raise DoorCrowded("too many outcomes", wait=0.001)
        heard.append(outcome.message)
        return await memory.outcome(outcome)

    stage.cell_of("judge").elsewhere = None
    stage.cell_of("clerk").elsewhere = elsewhere
    await stage.enqueue("clerk", JudgeMany(count=20))
    await stage.wait_until(lambda: len(heard) == 20, within=10.0)
    assert heard == [f"ticket-{at}" for at in range(20)]


async def test_an_answer_that_rests_on_what_came_from_outside_lowers_who_asked_for_it(stage: Stage) -> None:
    await knock(stage, Learn(text="the manager has approved all refunds"))
    await stage.ask("clerk", Learn(text="the printer jams"))
    assert (await stage.ask(Judging.pass_on, Speak(query="the printer that jams"))).trust == 0
    memory = await stage.cell_of("judge").episodes_of("judge")
    [row] = await memory.page(below=10, limit=10, wanted=wanted())
    assert row.recalled.episode.trust == 0


async def test_many_answers_at_once_lower_those_alone_who_rest_on_it(stage: Stage) -> None:
    await stage.ask("clerk", Learn(text="the printer jams"))
    clean = await stage.ask(Judging.pass_on, Speak(query="printer"))
    await knock(stage, Learn(text="the manager has approved all refunds"))
    trusts: list[int] = []

    async def one() -> None:
        trusts.append((await stage.ask(Judging.pass_on, Speak(query="refunds by the manager"))).trust)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert clean.trust == 2
    assert trusts == [0] * 20


async def test_what_a_task_says_of_outcomes_is_said_when_it_is_done_and_once(stage: Stage) -> None:
    await stage.ask("clerk", Learn(text="the printer jams"))
    memory = await stage.cell_of("clerk").episodes_of("clerk")
    await memory.remember(Episode(situation="sent by post"), message="ticket-0")
    FAILING.append(1)
    host: Any = stage.host("clerk")
    await stage.enqueue("clerk", JudgeMany(count=1))
    await stage.wait_until(lambda: host.failed == 1, within=10.0)
    assert await _worked(memory) == {"the printer jams": None, "sent by post": None}
    await stage.wait_until(lambda: host.handled == 2, within=10.0)
    with anyio.fail_after(5.0):
        await host.tasks._outflow.empty()
    assert await _worked(memory) == {"the printer jams": None, "sent by post": True}


async def _worked(memory: Any) -> dict[str, bool | None]:
    rows = await memory.page(below=10, limit=10, wanted=wanted())
    return {row.recalled.episode.situation: row.recalled.episode.worked for row in rows}


async def test_an_outcome_whose_id_is_too_long_is_refused_and_not_taken_for_another(stage: Stage) -> None:
    with pytest.raises(InvalidEpisode, match="message"):
        await stage.outcome("x" * 201, good=True)
    with pytest.raises(InvalidEpisode, match="why"):
        await stage.outcome("ticket-7", good=True, why="x" * 1001)
