"""The flight record: what a cell has received and not yet finished, readable after any death.

A killed process cannot say what it held, so it writes that down beforehand. The file is mapped into memory: to write
is to store bytes, not to call the system, and the kernel keeps the pages when the process ends by SIGKILL, SIGSTOP or
a segmentation fault. Only a power cut loses it, and then the asker is gone too.

What arrives is written as it came, a frame in one copy, with one status byte for each message.
A message is *queued* when it is written, *in hand* before its handler runs, *done* when nobody is owed anything for it:
two bytes stored for each. A question is *answered* in between, until its reply has left the process for sure: who dies
in that moment has it answered once more, and the asker takes the first answer. The cost is about 0.3 microseconds a
message, and who reads it has the whole of it: id, kind, sender, reply address and body.

Layout, little-endian: a page of head, then segments of 1 MiB, each filled with records from its start::

    head     magic 8s, version u32, pid u32, epoch u64, at 32: beats u64, beaten f64 (monotonic seconds), unwritten u64
    record   size u32, count u16, form u8, 0, written f64 (Unix seconds), actor and source (u8 length + name each),
             count status bytes, data

The size is stored last: a record is there whole or not at all. A segment in which all is done is written anew from its
start; when none is free the file grows, bounded by what mailboxes may hold. Not for threads: one loop writes.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from callboard.bus import BATCH_MOST, EMPTY, Batch, Envelope, encode, envelopes_of, parts_of

from .letter import Letter

MAGIC: Final = b"CBFLIGHT"
VERSION: Final = 1
HEAD: Final = 4096
SEGMENT: Final = 1 << 20
RUN_MOST: Final = BATCH_MOST
KEPT_MOST: Final = 128 * 1024
"""Bytes of a frame that is written whole; a larger message is written without its body."""

QUEUED: Final = 1
IN_HAND: Final = 2
ANSWERED: Final = 3
DONE: Final = 4
Status = Literal["queued", "in hand", "answered", "done"]
_STATUS: Final[dict[int, Status]] = {QUEUED: "queued", IN_HAND: "in hand", ANSWERED: "answered", DONE: "done"}
_FRAME, _LETTER = 0, 1

_head: Final = struct.Struct("<8sIIQ")
_beat: Final = struct.Struct("<Qd")
_count: Final = struct.Struct("<Q")
_BEAT_AT: Final = 32
_UNWRITTEN_AT: Final = 48
_record: Final = struct.Struct("<IHBxd")
_size: Final = struct.Struct("<I")
_letter: Final = msgspec.msgpack.Decoder(Letter)
_DAMAGED: Final = (IndexError, UnicodeDecodeError, msgspec.MsgspecError, RecursionError)


class FlightRecorder:
    """The writing side, for the life of one cell process."""

    def __init__(self, path: Path, *, epoch: int) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.posix_fallocate(self._file, 0, HEAD)  # or a full disk would end the process in the middle of a store
        self._page = mmap.mmap(self._file, HEAD)
        self._segments: list[mmap.mmap] = []
        self._left: list[int] = []
        self._free: list[int] = []
        self._answered: list[int] = []
        self._leaving: list[int] = []
        self._beats = 0
        self.unwritten = 0
        """Messages that it had no room for: a full disk. Their slot is 0, and says nothing."""
        self._at = SEGMENT
        self._current = -1
        self.beat(time.monotonic())
        _head.pack_into(self._page, 0, MAGIC, VERSION, os.getpid(), epoch)

    def beat(self, now: float) -> None:
        """Say that the loop turns: `now` in monotonic seconds, which all processes of a machine share."""
        self._beats += 1
        _beat.pack_into(self._page, _BEAT_AT, self._beats, now)

    def frame(self, actor: str, cell: str, data: bytes, count: int) -> int:
        """Write down a frame of `count` messages as it came; return the slot of its first message."""
        if len(data) > KEPT_MOST:
            data = b"".join((b"\xdc", count.to_bytes(2, "big"), *map(_without_body, _each_of(data))))
        return self._write(actor, cell, data, count, _FRAME)

    def letter(self, actor: str, letter: Letter) -> int:
        """Write down one letter; return its slot."""
        if letter.size > KEPT_MOST:
            letter = msgspec.structs.replace(letter, envelope=msgspec.structs.replace(letter.envelope, body=EMPTY))
        return self._write(actor, letter.cell, encode(letter), 1, _LETTER)

    def _write(self, actor: str, source: str, data: bytes, count: int, form: int) -> int:
        names = b"%c%b%c%b" % (len(actor), actor.encode(), len(source), source.encode())
        size = _record.size + len(names) + count + len(data)
        if size + _size.size > SEGMENT:  # a frame of so many that not even their heads fit: they are counted only
            data, size = b"", size - len(data)
        if self._at + size + _size.size > SEGMENT and not self._turn_page():
            self.unwritten += count
            _count.pack_into(self._page, _UNWRITTEN_AT, self.unwritten)
            return 0
        at, segment = self._at, self._segments[self._current]
        _size.pack_into(segment, at + size, 0)  # whatever an older record left behind this one
        _record.pack_into(segment, at, 0, count, form, time.time())
        body = at + _record.size
        segment[body : at + size] = b"%b%b%b" % (names, _ALL_QUEUED[:count], data)
        _size.pack_into(segment, at, size)
        self._at = at + size
        self._left[self._current] += count
        return self._current << 20 | body + len(names)

    def _turn_page(self) -> bool:
        """Begin a segment in which nothing is owed; return False when the disk has no room for another."""
        if self._current >= 0 and not self._left[self._current]:
            self._at = 0
            return True
        if not self._free:
            end = HEAD + SEGMENT * (len(self._segments) + 1)
            if not _reserve(self._file, end - SEGMENT):
                return False
            self._segments.append(mmap.mmap(self._file, SEGMENT, offset=end - SEGMENT))
            self._left.append(0)
            self._free.append(len(self._segments) - 1)
        self._current, self._at = self._free.pop(), 0
        return True

    def taken(self, slot: int) -> None:
        """Say that a handler is about to run on the message in `slot`."""
        if slot:
            self._segments[slot >> 20][slot & 0xFFFFF] = IN_HAND

    def marks(self, slot: int) -> tuple["mmap.mmap | bytearray", int]:
        """Return where the marks of a run of messages are: what holds them, and the place of the one in `slot`.

        Who works through a run stores them there itself, one by one, and then calls :meth:`done_until`.
        """
        return (self._segments[slot >> 20], slot & 0xFFFFF) if slot else (bytearray(RUN_MOST), 0)

    def done_until(self, slot: int, count: int) -> None:
        """Count `count` messages from `slot` on, which are marked as done."""
        if slot and count:
            number = slot >> 20
            self._left[number] -= count
            self._free_if_done(number)

    def answered_from(self, slot: int, count: int) -> None:
        """Say that the replies to `count` questions from `slot` on, which are marked so, are on their way."""
        if slot:
            self._answered.extend(range(slot, slot + count))

    def answered(self, slot: int) -> None:
        """Say that the reply to the question in `slot` is on its way."""
        if slot:
            self._segments[slot >> 20][slot & 0xFFFFF] = ANSWERED
            self._answered.append(slot)

    def sweep(self) -> None:
        """Say that all that was answered before the sweep before this one is done: its replies have left."""
        leaving, self._leaving, self._answered = self._leaving, self._answered, []
        for slot in leaving:
            self.done(slot)

    def done(self, slot: int) -> None:
        """Say that nobody is owed anything any more for the message in `slot`."""
        if not slot:
            return
        number = slot >> 20
        self._segments[number][slot & 0xFFFFF] = DONE
        self._left[number] -= 1
        self._free_if_done(number)

    def _free_if_done(self, number: int) -> None:
        if not self._left[number]:
            _size.pack_into(self._segments[number], 0, 0)
            if number == self._current:
                self._at = 0  # the same few pages again: they are in the cache
            else:
                self._free.append(number)

    def close(self) -> None:
        """Unmap the file; it stays for who wants to read it."""
        for mapped in (*self._segments, self._page):
            mapped.close()
        os.close(self._file)


def _reserve(file: int, begin: int) -> bool:
    try:
        os.posix_fallocate(file, begin, SEGMENT)
    except OSError:
        return False
    return True


_ALL_QUEUED: Final = bytes((QUEUED,)) * 65536


def _without_body(each: Envelope | None) -> bytes:
    return b"\xc0" if each is None else encode(msgspec.structs.replace(each, body=EMPTY))


class NoFlight:
    """Writes nothing down: where no process reads it, or where the process ends with all who could ask."""

    def beat(self, now: float) -> None:
        """Say nothing."""

    def frame(self, actor: str, cell: str, data: bytes, count: int) -> int:  # noqa: ARG002 - as the recorder has it
        """Return no slot."""
        return 0

    def letter(self, actor: str, letter: Letter) -> int:  # noqa: ARG002 - the same
        """Return no slot."""
        return 0

    def taken(self, slot: int) -> None:
        """Say nothing."""

    def marks(self, slot: int) -> tuple[bytearray, int]:  # noqa: ARG002 - the same
        """Return a place where marks mean nothing."""
        return bytearray(RUN_MOST), 0

    def done_until(self, slot: int, count: int) -> None:
        """Say nothing."""

    def answered_from(self, slot: int, count: int) -> None:
        """Say nothing."""

    def answered(self, slot: int) -> None:
        """Say nothing."""

    def sweep(self) -> None:
        """Say nothing."""

    def done(self, slot: int) -> None:
        """Say nothing."""


Flight = FlightRecorder | NoFlight
NO_FLIGHT: Final = NoFlight()


class Owed(NamedTuple):
    """A message in a flight record: whose, how far it came, and when it was received (Unix seconds)."""

    actor: str
    status: Status
    letter: Letter
    at: float


class Head(NamedTuple):
    """Who writes a flight record, and the last beat of its loop in monotonic seconds."""

    pid: int
    epoch: int
    beats: int
    beaten: float
    unwritten: int
    """Messages that it had no room for."""


class FlightReader:
    """Reads the record of another process, living or dead."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def head(self) -> Head | None:
        """Return who writes it and when it last beat; None if it is not there, or not whole yet."""
        try:
            with self._path.open("rb") as file:
                page = file.read(64)
        except OSError:
            return None
        if len(page) < 64:
            return None
        magic, version, pid, epoch = _head.unpack_from(page)
        if (magic, version) != (MAGIC, VERSION):
            return None
        return Head(pid, epoch, *_beat.unpack_from(page, _BEAT_AT), *_count.unpack_from(page, _UNWRITTEN_AT))

    def owed(self) -> list[Owed]:
        """Return what was received and not finished, in order of arrival."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return []
        begins = range(HEAD, len(data) - SEGMENT + 1, SEGMENT)
        found = [each for begin in begins for each in _read_segment(memoryview(data)[begin : begin + SEGMENT])]
        return sorted(found, key=lambda each: each.at)


def _read_segment(segment: memoryview) -> Iterator[Owed]:
    at = 0
    while at + _record.size <= SEGMENT:
        size, count, form, written = _record.unpack_from(segment, at)
        if size < _record.size or at + size > SEGMENT:
            return
        try:
            yield from _read_record(bytes(segment[at + _record.size : at + size]), count, form, written)
        except _DAMAGED:
            return  # what follows cannot be trusted either
        at += size


def _read_record(data: bytes, count: int, form: int, written: float) -> Iterator[Owed]:
    actor_ends = 1 + data[0]
    source_ends = actor_ends + 1 + data[actor_ends]
    actor, source = data[1:actor_ends].decode(), data[actor_ends + 1 : source_ends].decode()
    statuses, body = data[source_ends : source_ends + count], data[source_ends + count :]
    if all(status == DONE for status in statuses):
        return
    letters = [_letter.decode(body)] if form == _LETTER else [_as_letter(each, source) for each in _each_of(body)]
    for status, letter in zip(statuses, letters, strict=False):
        if status != DONE and letter is not None:
            yield Owed(actor, _STATUS.get(status, "queued"), letter, written)


def _each_of(body: bytes) -> Iterator[Envelope | None]:
    """Yield each message of a frame, as the door counts them: what is none counts as one."""
    for part in parts_of(body):
        if isinstance(part, Batch):
            yield from envelopes_of(part)
        else:
            yield part if isinstance(part, Envelope) else None


def _as_letter(each: Envelope | None, cell: str) -> Letter | None:
    if each is None:
        return None
    return Letter(each, cell, each.trust, len(memoryview(each.body)))
