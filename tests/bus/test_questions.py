"""Open questions: each ends once, at its deadline at the latest, and nothing is kept of those that have ended."""

import math
import random

import anyio
import pytest

from callboard.bus import DeadlineExceeded
from callboard.bus.questions import _SLOTS_MOST, Questions


@pytest.mark.parametrize("timeout", [0.01, 0.9, 1.0, 1.1])
async def test_a_question_that_nobody_answers_ends_at_its_deadline(timeout: float) -> None:
    questions, begin = Questions(), anyio.current_time()
    with pytest.raises(DeadlineExceeded, match=f"desk did not reply within {timeout} s"):
        await questions.open("a", "desk", timeout)
    assert timeout <= anyio.current_time() - begin + 0.001 < timeout + 0.5


async def test_who_waits_without_end_is_no_trouble() -> None:
    questions = Questions()
    answer = questions.open("a", "desk", math.inf)
    assert not answer.done()
    assert questions.close("a")


async def test_nothing_is_kept_of_questions_with_times_of_all_lengths() -> None:
    questions, chance = Questions(), random.Random(7)  # noqa: S311 - repeatable
    kept = questions.open("kept", "desk", 86_000.0)
    for number in range(20 * _SLOTS_MOST):
        questions.open(str(number), "desk", chance.uniform(1.0, 86_400.0))
        assert questions.close(str(number))
    assert len(questions._due) == len(questions._timers) <= _SLOTS_MOST
    assert "kept" in questions
    kept.cancel()
