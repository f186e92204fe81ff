"""Bytes to envelopes and back: whatever arrives, what comes out is an envelope or a typed refusal."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callboard.bus import (
    EMPTY,
    FRAME_MOST,
    VERSION,
    Envelope,
    Kind,
    MessageRefused,
    MessageTooLarge,
    Trust,
    check_size,
    decode_body,
    encode,
    is_bare,
    join,
    split,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBER = st.integers(0, 2**63 - 1)
BODY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def _raw(body: object) -> msgspec.Raw:
    return msgspec.Raw(encode(body))


ENVELOPE = st.builds(
    Envelope,
    version=st.just(VERSION),
    kind=st.integers(0, 300),
    type=TEXT,
    schema=NUMBER,
    id=TEXT,
    sender=TEXT,
    causation=TEXT,
    correlation=TEXT,
    hops=NUMBER,
    within=st.floats(allow_nan=False),
    trace=TEXT,
    trust=st.integers(0, 2),
    reply=TEXT,
    format=st.integers(0, 1),
    body=BODY.map(_raw),
)


def _same(one: object, other: Envelope) -> bool:
    """Whether two envelopes are equal; their bodies are views of other bytes and compared as such."""
    assert isinstance(one, Envelope)
    bare = msgspec.structs.replace(one, body=EMPTY), msgspec.structs.replace(other, body=EMPTY)
    return bare[0] == bare[1] and bytes(one.body) == bytes(other.body)


def _envelope(**changed: Any) -> Envelope:
    plain = Envelope(VERSION, Kind.TELL, "Ping", 7, "0" * 32, "sender", body=_raw({"a": 1}))
    return msgspec.structs.replace(plain, **changed)


# --- round trips


@given(ENVELOPE)
def test_an_envelope_comes_back_as_it_was(envelope: Envelope) -> None:
    [back] = split(encode(envelope))
    assert _same(back, envelope)


@given(st.lists(ENVELOPE, min_size=1, max_size=FRAME_MOST))
def test_a_frame_comes_back_in_order(envelopes: list[Envelope]) -> None:
    back = split(join([encode(each) for each in envelopes]))
    assert len(back) == len(envelopes)
    assert all(_same(one, other) for one, other in zip(back, envelopes, strict=True))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, FRAME_MOST, 255, 256, 65535])
def test_a_frame_of_any_length_comes_back(count: int) -> None:
    part = encode(Envelope(VERSION, Kind.CANCEL, "", 0, "", ""))
    back = split(join([part] * count))
    assert len(back) == count
    assert all(isinstance(each, Envelope) for each in back)


def test_one_envelope_travels_without_a_frame_around_it() -> None:
    data = encode(_envelope())
    assert join([data]) is data


def test_fields_that_are_not_sent_have_their_defaults() -> None:
    [envelope] = split(encode([VERSION, 1, "Ping", 0, "id", "sender"]))
    assert isinstance(envelope, Envelope)
    assert (envelope.hops, envelope.within, envelope.trust, envelope.reply) == (0, 0.0, Trust.INTERNAL, "")
    assert bytes(envelope.body) == bytes(EMPTY)


@given(st.lists(BODY, max_size=8))
def test_fields_of_a_later_version_of_this_format_are_ignored(more: list[object]) -> None:
    """Fields are only ever added at the end; with one more, the array's head is another byte."""
    later = encode([*msgspec.structs.astuple(_envelope()), *more])
    [alone] = split(later)
    assert _same(alone, _envelope())
    framed = split(join([later, later]))
    assert all(_same(each, _envelope()) for each in framed)
    assert len(framed) == 2


# --- hostile bytes


def _is_sound(data: bytes) -> bool:
    """Whether all that `split` returns is an envelope or a refusal with a text and a place."""
    parts = split(data)
    for part in parts:
        if isinstance(part, MessageRefused):
            assert part.text
            assert part.detail["path"]
            assert len(part.text) < 1000
        else:
            assert type(part) is Envelope
            assert part.version == VERSION
    return bool(parts)


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x90")
@example(b"\x91\x90")
@example(b"\xdc\x00\x00")
@example(b"\xdc\x00\x01")
@example(b"\xdc\xff\xff\x9f")
@example(b"\xdc\x00\x01\xdc\xff\xff")
@example(b"\xdd\xff\xff\xff\xff\x01")
@example(b"\x91\xdd\xff\xff\xff\xff")
@example(b"\xc1")
@example(b"\xc6\xff\xff\xff\xff")
def test_no_bytes_make_split_raise(data: bytes) -> None:
    assert _is_sound(data)


@given(st.lists(ENVELOPE, min_size=1, max_size=4), st.data())
def test_no_damage_to_valid_bytes_makes_split_raise(envelopes: list[Envelope], data: st.DataObject) -> None:
    good = bytearray(join([encode(each) for each in envelopes]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(good) - 1)))
        match data.draw(st.sampled_from(["change", "cut", "insert", "remove"])):
            case "change" if good:
                good[at] = data.draw(st.integers(0, 255))
            case "cut":
                del good[at:]
            case "insert":
                good[at:at] = data.draw(st.binary(max_size=5))
            case _:
                del good[at : at + 3]
    assert _is_sound(bytes(good))


@given(BODY)
def test_valid_msgpack_that_is_no_envelope_is_refused(body: object) -> None:
    assert _is_sound(encode(body))
    if not isinstance(body, list):
        assert all(isinstance(each, MessageRefused) for each in split(encode(body)))


@pytest.mark.parametrize(
    "deep",
    [
        b"\x91" * 100_000,
        b"\x91" * 100_000 + b"\xc0",
        b"\x81\xa1a" * 100_000,
        encode(_envelope())[:-4] + b"\x91" * 100_000,
        encode(_envelope())[:-4] + b"\x91" * 100_000 + b"\xc0",
        b"\x92" + encode(_envelope()) + b"\x91" * 100_000,
        b"\xdc\x00\x02" * 50_000,
    ],
    ids=["open", "closed", "maps", "body-open", "body-closed", "frame", "wide"],
)
def test_nesting_of_any_depth_is_refused(deep: bytes) -> None:
    assert _is_sound(deep)
    assert any(isinstance(each, MessageRefused) for each in split(deep))


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_text_that_is_not_utf8_is_refused(bad: bytes) -> None:
    head = bytes((0xA0 | len(bad),)) + bad
    data = b"\x96\x01\x01" + head + b"\x00\xa0\xa0"
    [refused] = split(data)
    assert isinstance(refused, MessageRefused)
    framed = split(join([encode(_envelope()), data, encode(_envelope())]))
    assert [type(each) for each in framed] == [Envelope, MessageRefused, Envelope]


@pytest.mark.parametrize("version", [0, 4, -1, 2**63])
def test_another_version_is_refused_naming_both(version: int) -> None:
    data = encode(_envelope(version=version))
    [refused] = split(data)
    assert isinstance(refused, MessageRefused)
    assert str(version) in refused.text
    assert str(VERSION) in refused.text
    framed = split(join([encode(_envelope()), data]))
    assert [type(each) for each in framed] == [Envelope, MessageRefused]


@given(st.lists(ENVELOPE, min_size=2, max_size=20), st.data())
def test_a_bad_envelope_in_a_frame_costs_itself_alone(envelopes: list[Envelope], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(envelopes) - 1))
    bad = data.draw(st.sampled_from([[], [1], [2, 1, "", 0, "", ""], [1, "", "", 0, "", ""], [1, 1, "", 0, "", None]]))
    parts = [encode(each) for each in envelopes]
    parts[at] = encode(bad)
    back = split(join(parts))
    if at == 0 and bad == []:
        return  # an empty array tells nothing of what follows: the first element decides, and this one is none
    assert len(back) == len(envelopes)
    assert isinstance(back[at], MessageRefused)
    assert all(_same(one, other) for n, (one, other) in enumerate(zip(back, envelopes, strict=True)) if n != at)


def test_the_place_of_what_is_wrong_is_told() -> None:
    [refused] = split(encode([VERSION, 1, "Ping", 0, "id", 5]))
    assert isinstance(refused, MessageRefused)
    assert refused.detail["path"] == "$[5]"


@given(st.binary(max_size=100))
def test_a_body_that_does_not_fit_is_refused_with_its_place(data: bytes) -> None:
    decoder = msgspec.msgpack.Decoder(dict[str, list[int]])
    try:
        decode_body(decoder, data)
    except MessageRefused as refused:
        assert refused.detail["path"]  # noqa: PT017 - fitting is legal too, and nothing else may be raised


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":"\xff"}', b'"\\ud800"', b"", b"nul", b'{"a":' * 100_000])
def test_json_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(MessageRefused):
        decode_body(msgspec.json.Decoder(dict[str, Any]), data)


# --- bare messages and sizes


@given(st.dictionaries(TEXT, BODY, max_size=40))
def test_a_map_is_bare_in_both_formats(body: dict[str, object]) -> None:
    assert is_bare(encode(body))
    assert is_bare(msgspec.json.encode(dict.fromkeys(body, 1)))
    assert is_bare(b" \n" + msgspec.json.encode({}))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 65535, 65536])
def test_a_map_of_any_size_is_bare(size: int) -> None:
    assert is_bare(encode({str(number): 0 for number in range(size)}))


@given(st.lists(ENVELOPE, min_size=1, max_size=20))
def test_no_envelope_and_no_frame_is_bare(envelopes: list[Envelope]) -> None:
    assert not is_bare(join([encode(each) for each in envelopes]))


@given(st.binary(max_size=20))
def test_no_bytes_are_taken_for_both(data: bytes) -> None:
    if is_bare(data):
        assert all(isinstance(each, MessageRefused) for each in split(data))


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_a_size_is_checked_to_the_byte(size: int, limit: int) -> None:
    if size <= limit:
        check_size(bytes(size), limit)
    else:
        with pytest.raises(MessageTooLarge, match=f"{size} bytes") as error:
            check_size(bytes(size), limit)
        assert error.value.detail == {"size": size, "limit": limit}
