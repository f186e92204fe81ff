"""What becomes of a failed task, and the timers that keep two from doing one: functions of values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import ActUnsettled, HandlerFailed, Health, StepsChanged, TaskExpired
from callboard.actors.llm import ModelBusy, ModelDown, ModelStalled, OfficeAway
from callboard.actors.retry import FIRST, LONGEST, SPREAD, delay_after, judge_failure
from callboard.actors.tasks import KILL_WITHIN, MARGIN, ack_wait_of
from callboard.bus import MessageRefused
from callboard.store import DatabaseLocked, DiskFull, MemoryConflict

TRIES = st.integers(1, 100)
CHANCE = st.floats(0.0, 1.0)


@given(TRIES, CHANCE)
def test_a_delay_grows_is_spread_and_is_never_nothing_nor_more_than_the_longest(tries: int, chance: float) -> None:
    delay = delay_after(tries, chance)
    assert FIRST * (1 - SPREAD) <= delay <= LONGEST * (1 + SPREAD) + 1e-9
    assert delay_after(tries + 1, chance) >= delay


@given(TRIES, TRIES, CHANCE)
def test_a_handlers_failure_is_tried_again_until_its_tries_are_spent(tries: int, most: int, chance: float) -> None:
    verdict = judge_failure(ValueError("x"), tries=tries, most=most, chance=chance)
    assert verdict.judgement == ("bury" if tries >= most else "again")
    assert verdict.counted


@pytest.mark.parametrize(
    "error", [MessageRefused("x"), StepsChanged("x"), ActUnsettled("x"), TaskExpired("x")], ids=lambda e: e.code
)
def test_what_another_try_can_only_repeat_is_taken_away_at_once(error: Exception) -> None:
    assert judge_failure(error, tries=1, most=5, chance=0.5).judgement == "bury"


@pytest.mark.parametrize("error", [DiskFull("x"), DatabaseLocked("x"), MemoryConflict("x")], ids=lambda e: e.code)
@given(tries=TRIES, chance=CHANCE)
def test_what_is_not_its_own_fault_is_not_counted_however_often(error: Exception, tries: int, chance: float) -> None:
    verdict = judge_failure(error, tries=tries, most=1, chance=chance)
    assert verdict.judgement == "again"
    assert verdict.delay > 0
    assert not verdict.counted


@pytest.mark.parametrize(
    "error", [ModelDown("x", cost="nothing"), ModelBusy("x", cost="nothing"), OfficeAway("x")], ids=lambda e: e.code
)
def test_a_model_that_was_not_there_is_no_try(error: Exception) -> None:
    verdict = judge_failure(error, tries=9, most=1, chance=0.5)
    assert (verdict.judgement, verdict.counted) == ("again", False)


@pytest.mark.parametrize(
    "error", [ModelStalled("x", cost="unknown"), ModelDown("x", cost="unknown")], ids=lambda e: e.code
)
def test_a_model_that_may_have_been_paid_is_a_try(error: Exception) -> None:
    assert judge_failure(error, tries=4, most=5, chance=0.5) == ("again", delay_after(4, 0.5), True)
    assert judge_failure(error, tries=5, most=5, chance=0.5).judgement == "bury"


def test_an_error_of_a_peer_counts_as_the_handlers() -> None:
    assert judge_failure(HandlerFailed("x"), tries=1, most=2, chance=0.0).judgement == "again"


@given(st.builds(Health, silent_after=st.floats(1.0, 3600.0), stalled_after=st.just(3700.0)))
def test_a_task_is_not_given_to_another_before_a_silent_process_is_surely_dead(health: Health) -> None:
    """The invariant: ``silent_after`` + kill + margin <= ``ack_wait``."""
    assert health.silent_after + KILL_WITHIN + MARGIN <= ack_wait_of(health.silent_after)
