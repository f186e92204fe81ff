"""A cell is silent when its loop does not turn, not when the machine or the daemon is slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.supervisor.verdict import GRANT_MOST, WELL, Signs, judge_cell

AFTER = 3.0
SECONDS = st.floats(0, 1000)


@pytest.mark.parametrize(
    ("signs", "kind", "why"),
    [
        (Signs(beat_age=0.2), "well", ""),
        (Signs(beat_age=2.9), "well", ""),
        (Signs(beat_age=3.1), "silent", "its loop has not turned for 3.1 s: asleep"),
        (Signs(beat_age=3.1, state="R", burned=3.0), "silent", "ready to run, 3.0 s of processor used meanwhile"),
        (Signs(beat_age=3.1, state="T"), "silent", "stopped by a signal"),
        (Signs(beat_age=3.1, state="T", starved=2.0), "silent", "stopped by a signal"),
        (Signs(beat_age=5.0, state="R", starved=2.5), "well", ""),
        (Signs(beat_age=9.1, state="R", starved=9.0), "silent", "9.0 s waiting for a processor"),
        (Signs(beat_age=8.9, state="D"), "well", ""),
        (Signs(beat_age=9.1, state="D"), "silent", "waiting for the disk"),
        (Signs(beat_age=62.0, late=60.0), "well", ""),
        (Signs(beat_age=64.0, late=60.0), "silent", "64.0 s"),
    ],
)
def test_what_is_said_of_a_process(signs: Signs, kind: str, why: str) -> None:
    verdict = judge_cell(signs, silent_after=AFTER, memory_most=0)
    assert verdict.kind == kind
    assert why in verdict.why


def test_memory_above_its_line_is_bloat_and_no_line_is_no_limit() -> None:
    signs = Signs(beat_age=0.1, memory=600 << 20)
    assert judge_cell(signs, silent_after=AFTER, memory_most=0) == WELL
    assert judge_cell(signs, silent_after=AFTER, memory_most=600 << 20) == WELL
    verdict = judge_cell(signs, silent_after=AFTER, memory_most=512 << 20)
    assert (verdict.kind, verdict.why) == ("bloated", "it uses 600 MiB of memory, and may use 512")


def test_silence_is_told_before_bloat() -> None:
    assert judge_cell(Signs(beat_age=4.0, memory=2), silent_after=AFTER, memory_most=1).kind == "silent"


@given(SECONDS, SECONDS, SECONDS, st.sampled_from("RSDTtZ"))
def test_who_beats_is_never_silent(late: float, starved: float, burned: float, state: str) -> None:
    signs = Signs(beat_age=AFTER, late=late, starved=starved, burned=burned, state=state)
    assert judge_cell(signs, silent_after=AFTER, memory_most=0).kind == "well"


@given(SECONDS, SECONDS, st.sampled_from("RSDTt"))
def test_a_busy_machine_delays_a_verdict_but_never_prevents_it(late: float, starved: float, state: str) -> None:
    signs = Signs(beat_age=AFTER * (1 + GRANT_MOST) + late + 0.01, late=late, starved=starved, state=state)
    assert judge_cell(signs, silent_after=AFTER, memory_most=0).kind == "silent"


@given(st.floats(0, 2 * AFTER))
def test_time_without_a_processor_is_granted(starved: float) -> None:
    signs = Signs(beat_age=AFTER + starved - 0.01, state="R", starved=starved)
    assert judge_cell(signs, silent_after=AFTER, memory_most=0).kind == "well"
