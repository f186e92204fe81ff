"""Blame falls on the message that fails again and again, and not on what was merely there."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import Letter
from callboard.actors.suspects import FAILURES_MOST, KNOWN_MOST, WITHIN, Suspects, digest_of
from callboard.bus import VERSION, Envelope, Kind, encode
from callboard.ids import new_id


def letter(body: object, kind: str = "Note") -> Letter:
    raw = msgspec.Raw(encode(body))
    return Letter(Envelope(VERSION, Kind.TELL, kind, 0, new_id(), "front", body=raw), "front", 1, 0)


def test_a_message_is_known_by_its_content_whatever_its_id() -> None:
    assert digest_of("desk", letter("a")) == digest_of("desk", letter("a"))
    others = [digest_of("clerk", letter("a")), digest_of("desk", letter("b")), digest_of("desk", letter("a", "Other"))]
    assert len({*others, digest_of("desk", letter("a"))}) == 4


def test_the_fifth_failure_is_one_too_many_and_says_why_each_time() -> None:
    suspects = Suspects(most=FAILURES_MOST)
    records = [suspects.failed("x", f"why {number}", now=number, served=number) for number in range(FAILURES_MOST)]
    assert records[:-1] == [None] * 4
    assert records[-1] is not None
    assert records[-1].whys == ("why 0", "why 1", "why 2", "why 3", "why 4")
    assert not suspects


def test_when_everything_fails_no_message_is_to_blame() -> None:
    suspects = Suspects(most=FAILURES_MOST)
    assert not any(suspects.failed("x", "down", now=number, served=7) for number in range(100))


def test_what_is_long_ago_and_what_went_well_since_is_forgotten() -> None:
    suspects = Suspects(most=2)
    assert suspects.failed("x", "", now=0.0, served=0) is None
    assert suspects.failed("x", "", now=WITHIN, served=1) is None
    suspects.succeeded("x")
    assert suspects.failed("x", "", now=WITHIN + 1, served=2) is None


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 5000), st.integers(0, 9))))
def test_the_record_is_bounded(failures: list[tuple[int, float, int]]) -> None:
    suspects = Suspects(most=FAILURES_MOST)
    for number, now, served in failures:
        suspects.failed(str(number), "", now=now, served=served)
    assert len(suspects._records) <= KNOWN_MOST


def test_the_oldest_makes_room() -> None:
    suspects = Suspects(most=2)
    for number in range(KNOWN_MOST + 1):
        suspects.failed(str(number), "", now=0.0, served=0)
    assert suspects.failed("0", "", now=0.0, served=1) is None
    assert suspects.failed("0", "", now=0.0, served=2) is not None
