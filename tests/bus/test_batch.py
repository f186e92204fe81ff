"""Batches: what has one head travels together, in order, and what is unsound is refused as such."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.bus import BATCH_MOST, Batch, Envelope, Head, Kind, MessageRefused, ReplyHead, encode, parts_of, split
from callboard.bus.batch import BASE, Line, ReplyLine
from callboard.bus.envelope import Answers


def a_head(**changed: Any) -> Head:
    head = Head(
        "cb.shop.to.desk.front", "desk", Kind.TELL, "Note", 7, "clerk", "cause", "chain", 3, 1.5, "trace", 1,
        "_CB.x.r", 0, 4,
    )  # fmt: skip
    return msgspec.structs.replace(head, **changed)


def line_of(*bodies: object, head: Head | None = None) -> Line:
    line = Line(head or a_head())
    for body in bodies:
        line.bodies.append(encode(body))
    return line


def test_one_message_alone_travels_as_an_envelope_that_says_all_that_its_head_says() -> None:
    line = line_of({"a": 1})
    [envelope] = parts_of(line.seal())
    assert isinstance(envelope, Envelope)
    assert envelope == Envelope(
        1, 1, "Note", 7, line.base + "00", "clerk", "cause", "chain", 3, 1.5, "trace", 1, "_CB.x.r", 0,
        envelope.body, 4,
    )  # fmt: skip
    assert msgspec.msgpack.decode(envelope.body) == {"a": 1}


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(-(2**63), 2**63)), min_size=2, max_size=BATCH_MOST))
def test_a_batch_holds_the_same_messages_in_the_same_order_as_single_envelopes(bodies: list[object]) -> None:
    line = line_of(*bodies)
    data = line.seal()
    [batch] = parts_of(data)
    assert isinstance(batch, Batch)
    found = [each for each in split(data) if isinstance(each, Envelope)]
    assert [msgspec.msgpack.decode(each.body) for each in found] == bodies
    assert [each.id for each in found] == [f"{line.base}{place:02x}" for place in range(len(bodies))]
    assert {(each.type, each.sender, each.hops, each.reply, each.epoch) for each in found} == {
        ("Note", "clerk", 3, "_CB.x.r", 4)
    }


def test_ids_of_two_batches_have_nothing_in_common_that_could_be_guessed() -> None:
    one, other = Line(a_head()), Line(a_head())
    assert len(one.base) == len(other.base) == BASE
    assert one.base[12:] != other.base[12:]


@pytest.mark.parametrize(
    "changed", [{"count": 0}, {"count": 2}, {"count": 4}, {"count": BATCH_MOST + 1}, {"count": -1}, {"base": "short"}]
)
def test_a_batch_that_does_not_hold_what_it_says_is_refused(changed: dict[str, Any]) -> None:
    [batch] = parts_of(line_of(1, 2, 3).seal())
    assert isinstance(batch, Batch)
    [refused] = parts_of(encode(msgspec.structs.replace(batch, **changed)))
    assert isinstance(refused, MessageRefused)


def test_replies_travel_together_and_come_apart_with_their_questions() -> None:
    line = ReplyLine(ReplyHead("Answer", 9, "desk", 2))
    for number in range(3):
        line.questions.append(f"question {number}")
        line.bodies.append(encode(number))
    data = line.seal()
    [answers] = parts_of(data)
    assert isinstance(answers, Answers)
    found = [each for each in split(data) if isinstance(each, Envelope)]
    assert [(each.kind, each.causation, msgspec.msgpack.decode(each.body)) for each in found] == [
        (Kind.REPLY, f"question {number}", number) for number in range(3)
    ]


def test_not_as_many_replies_as_questions_are_refused() -> None:
    [refused] = parts_of(encode(Answers(3, "Answer", 0, "desk", 0, 0, ["a", "b"], [msgspec.Raw(encode(1))])))
    assert isinstance(refused, MessageRefused)


def test_batches_and_envelopes_in_one_frame_are_told_apart() -> None:
    alone, together = line_of(0).seal(), line_of(1, 2).seal()
    found = parts_of(encode([msgspec.Raw(alone), msgspec.Raw(together), msgspec.Raw(alone)]))
    assert [type(each) for each in found] == [Envelope, Batch, Envelope]


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 255))
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(noise: bytes, at: int, byte: int) -> None:
    whole = bytearray(line_of({"a": 1}, {"b": "c"}, [1, 2, 3]).seal())
    whole[at % len(whole)] = byte
    for data in (bytes(whole), bytes(whole[: at % len(whole)]), bytes(whole) + noise, b"\xdc\x00\x11\x02" + noise):
        for part in split(data):
            assert isinstance(part, Envelope | MessageRefused)
