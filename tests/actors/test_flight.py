"""The flight record: what a cell had received and not finished, read after its process was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import FlightReader, FlightRecorder, Letter
from callboard.actors.flight import HEAD, KEPT_MOST, SEGMENT
from callboard.bus import EMPTY, VERSION, Envelope, Kind, encode, join
from callboard.bus.envelope import Answers
from callboard.ids import new_id

CHILD = """
import sys, time
from pathlib import Path
from callboard.actors import FlightRecorder
from tests.actors.test_flight import asked, frame_of
recorder = FlightRecorder(Path(sys.argv[1]), epoch=7)
three = [asked("a"), asked("b"), asked("c")]
first = recorder.frame("desk", "front", frame_of(three), 3)
recorder.done(first)
recorder.taken(first + 1)
print(three[1].id, three[2].id, flush=True)
time.sleep(60)
"""


def asked(body: object = None, *, size: int = 0) -> Envelope:
    """Return a question as it travels."""
    raw = msgspec.Raw(encode(body if not size else "x" * size))
    return Envelope(VERSION, Kind.ASK, "Question", 0, new_id(), "front", reply="_CB.1.r", body=raw)


def frame_of(envelopes: list[Envelope]) -> bytes:
    """Return a frame of them."""
    return join([encode(each) for each in envelopes])


def ids(path: Path) -> list[str]:
    return [owed.letter.envelope.id for owed in FlightReader(path).owed()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk.flight"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_what_a_process_held_is_read_after_it_was_killed_crashed_or_stopped(path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        in_hand, queued = child.stdout.readline().split()
        os.kill(child.pid, number)
        if number != signal.SIGSTOP:
            child.wait(10)
        reader = FlightReader(path)
        found = [(owed.actor, owed.status, owed.letter.envelope.id) for owed in reader.owed()]
        head = reader.head()
        child.kill()
    assert found == [("desk", "in hand", in_hand), ("desk", "queued", queued)]
    assert head is not None
    assert (head.pid, head.epoch, head.beats) == (child.pid, 7, 1)


def test_a_letter_is_written_with_all_that_is_needed_to_answer_it(path: Path) -> None:
    recorder = FlightRecorder(path, epoch=1)
    letter = Letter(asked("a"), "", 0, 10, "", "json")
    recorder.letter("desk", letter)
    [owed] = FlightReader(path).owed()
    assert owed.letter == letter


def test_what_is_done_is_forgotten_and_its_room_is_used_again(path: Path) -> None:
    recorder = FlightRecorder(path, epoch=1)
    for _ in range(100):
        slots = [recorder.frame("desk", "front", frame_of([asked(size=60_000)]), 1) for _ in range(10)]
        for slot in slots:
            recorder.done(slot)
    assert not ids(path)
    assert path.stat().st_size == HEAD + SEGMENT


def test_a_frame_too_large_to_keep_is_written_without_its_bodies(path: Path) -> None:
    recorder = FlightRecorder(path, epoch=1)
    large = asked(size=KEPT_MOST + 1)
    recorder.frame("desk", "front", frame_of([large]), 1)
    recorder.letter("desk", Letter(large, "front", 1, KEPT_MOST + 1))
    assert ids(path) == [large.id, large.id]
    assert path.stat().st_size == HEAD + SEGMENT


def test_a_frame_of_more_than_a_segment_holds_is_counted_only(path: Path) -> None:
    recorder = FlightRecorder(path, epoch=1)
    many = [asked(number) for number in range(30_000)]
    first = recorder.frame("desk", "front", frame_of(many), len(many))
    for number in range(len(many)):
        recorder.done(first + number)
    one = asked("a")
    recorder.frame("desk", "front", frame_of([one]), 1)
    assert ids(path) == [one.id]


def test_nothing_is_read_where_nothing_was_written(path: Path) -> None:
    assert FlightReader(path).head() is None
    assert FlightReader(path).owed() == []
    path.write_bytes(b"CBFL")
    assert FlightReader(path).head() is None
    assert FlightReader(path).owed() == []


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_a_damaged_record_ends_the_reading_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int
) -> None:
    path = tmp_path_factory.mktemp("flight") / "desk.flight"
    path.write_bytes(b"\0" * HEAD + size.to_bytes(4, "little") + data.ljust(SEGMENT - 4, b"\0"))
    FlightReader(path).owed()


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 40_000)), max_size=60), st.randoms())
def test_what_is_read_is_what_was_written_and_not_done(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[int, int]], random: "object"
) -> None:
    path = tmp_path_factory.mktemp("flight") / "desk.flight"
    recorder = FlightRecorder(path, epoch=1)
    open_slots: dict[int, str] = {}
    for count, size in frames:
        envelopes = [asked(size=size) for _ in range(count)]
        first = recorder.frame("desk", "front", frame_of(envelopes), count)
        open_slots |= {first + number: each.id for number, each in enumerate(envelopes)}
        for slot in list(open_slots):
            if random.random() < 0.4:  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
                recorder.done(slot)
                del open_slots[slot]
    assert sorted(ids(path)) == sorted(open_slots.values())
    recorder.close()


def test_what_is_no_message_counts_as_one_and_the_marks_of_the_others_stay_theirs(path: Path) -> None:
    """Replies have no business in a mailbox; as one part they have one mark, however many they are."""
    recorder = FlightRecorder(path, epoch=1)
    replies = Answers(3, "R", 0, "x", 0, 0, ["a", "b", "c"], [EMPTY] * 3)
    one, two = asked("a"), asked("b")
    data = b"\x93" + encode(replies) + encode(one) + encode(two)
    slot = recorder.frame("desk", "front", data, 3)
    recorder.done(slot)
    recorder.taken(slot + 1)
    assert [(each.status, each.letter.envelope.id) for each in FlightReader(path).owed()] == [
        ("in hand", one.id),
        ("queued", two.id),
    ]
