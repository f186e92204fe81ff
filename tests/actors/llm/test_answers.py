"""Answers at hand: bounded, dropped when they are old or were wrong; and one question is asked once at a time."""

import anyio
import pytest

from callboard.actors.llm import ModelDown, OfficeAway, WrongAnswer
from callboard.actors.llm.answers import Answer, Answers

pytestmark = pytest.mark.anyio


def test_an_answer_is_given_until_it_expires() -> None:
    answers = Answers()
    answers.put(b"k", Answer(b"yes", 100.0))
    assert answers.get(b"k", 99.0) == Answer(b"yes", 100.0)
    assert answers.get(b"k", 100.0) is None
    assert len(answers) == 0


def test_the_answers_used_longest_ago_make_room() -> None:
    answers = Answers(most=10)
    for key in (b"a", b"b"):
        answers.put(key, Answer(b"12345", 100.0))
    answers.get(b"a", 0.0)
    answers.put(b"c", Answer(b"12345", 100.0))
    assert [answers.get(key, 0.0) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


async def test_who_asks_the_same_at_once_waits_for_the_one_that_asks() -> None:
    answers, asked, given = Answers(), 0, list[bytes]()

    async def ask() -> None:
        nonlocal asked
        async with answers.alone(b"k"):
            if (found := answers.get(b"k", 0.0)) is None:
                asked += 1
                await anyio.wait_all_tasks_blocked()
                answers.put(b"k", found := Answer(b"yes", 1.0))
            given.append(found.body)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert asked == 1
    assert given == [b"yes"] * 20


@pytest.mark.parametrize(
    ("error", "tries"), [(WrongAnswer("no"), 1), (ModelDown("down", cost="nothing"), 3), (OfficeAway("away"), 3)]
)
async def test_a_failure_that_all_would_meet_is_shared_and_one_that_passes_is_not(error: Exception, tries: int) -> None:
    answers, asked, failed = Answers(), 0, 0

    async def ask() -> None:
        nonlocal asked, failed
        try:
            async with answers.alone(b"k"):
                asked += 1
                await anyio.wait_all_tasks_blocked()
                raise error
        except type(error):
            failed += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert (asked, failed) == (tries, 3)


async def test_who_asks_and_goes_away_leaves_the_question_to_the_next() -> None:
    answers, done = Answers(), list[str]()
    first = anyio.CancelScope()

    async def ask(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with answers.alone(b"k"):
                if name == "first":
                    await anyio.sleep_forever()
                done.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "first", first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask, "second", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        first.cancel()
    assert done == ["second"]
