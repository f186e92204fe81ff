"""A message in hand is judged by whether it comes further, never by how long it takes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import Letter
from callboard.actors.hand import InHand, Wait
from callboard.actors.verdict import judge_hand
from callboard.bus import VERSION, Envelope, Kind

STALLED_AFTER = 60.0
TIMES = st.floats(0, 10_000)


def in_hand(*, progressed: float = 0.0, doing: str = "", waits: tuple[Wait, ...] = ()) -> InHand:
    letter = Letter(Envelope(VERSION, Kind.TELL, "Note", 0, "1", ""), "front", 1, 0)
    scope: Any = None  # a judgement stops nobody
    return InHand(letter, 0.0, scope, progressed, waits=waits, doing=doing)


@pytest.mark.parametrize(
    ("hand", "now", "going", "why"),
    [
        (in_hand(), 59.9, "busy", ""),
        (in_hand(), 60.1, "stalled", "no progress for 60.1 s, and no declared wait"),
        (in_hand(progressed=50.0), 60.1, "busy", ""),
        (in_hand(progressed=1.0, doing="page 3"), 100.0, "stalled", "no progress for 99.0 s since 'page 3', and no"),
        (in_hand(waits=(Wait("a model", 500.0),)), 499.0, "waiting", "waits on a model, at most 1 s more"),
        (in_hand(waits=(Wait("a model", 500.0),)), 503.0, "stalled", "waits on a model for 3.0 s longer than it said"),
        (in_hand(waits=(Wait("a model", 5.0), Wait("a person", 900.0))), 503.0, "waiting", "waits on a person"),
    ],
)
def test_what_is_said_of_a_message_in_hand(hand: InHand, now: float, going: str, why: str) -> None:
    judgement = judge_hand(hand, now=now, stalled_after=STALLED_AFTER)
    assert judgement.going == going
    assert why in judgement.why


@given(TIMES, TIMES, TIMES)
def test_nothing_is_stalled_within_its_declared_wait(progressed: float, until: float, now: float) -> None:
    hand = in_hand(progressed=progressed, waits=(Wait("a model", until),))
    going = judge_hand(hand, now=now, stalled_after=STALLED_AFTER).going
    assert (going == "waiting") == (now <= until)


@given(TIMES, TIMES)
def test_without_a_wait_only_time_without_progress_counts(progressed: float, now: float) -> None:
    going = judge_hand(in_hand(progressed=progressed), now=now, stalled_after=STALLED_AFTER).going
    assert (going == "stalled") == (now - progressed > STALLED_AFTER)


@given(TIMES, TIMES)
def test_the_end_of_a_wait_is_progress(until: float, now: float) -> None:
    hand, wait = in_hand(), Wait("a model", until)
    hand.begin_wait(wait)
    hand.end_wait(wait, now)
    assert judge_hand(hand, now=now + STALLED_AFTER - 0.01, stalled_after=STALLED_AFTER).going == "busy"
