"""Messages: their shape, its fingerprint, and who is held to the letter."""

import datetime as dt
import json
import types
import uuid
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from callboard import Message, MessageRefused, Untrusted
from callboard.actors import fingerprint, tag_of
from callboard.actors.message import MessageMeta
from callboard.actors.reader import Reader
from callboard.bus import VERSION, Envelope, Format, Kind, encode


class Line(msgspec.Struct, forbid_unknown_fields=True):
    text: str


def made(fields: list[Any], *, doc: str = "", name: str = "Order") -> Any:
    """Return a message type as another version of the program may define it."""
    body: dict[str, Any] = {"__annotations__": {field[0]: field[1] for field in fields}, "__doc__": doc}
    body |= {field[0]: field[2] for field in fields if len(field) == 3}
    return types.new_class(name, (Message,), {}, lambda namespace: namespace.update(body))


def envelope(kind: type[Message], body: object, *, schema: int | None = None) -> Envelope:
    """Return `body` as a sender whose type is `kind` would send it."""
    schema = fingerprint(kind) if schema is None else schema
    return Envelope(VERSION, Kind.ASK, tag_of(kind), schema, "id", "", body=msgspec.Raw(encode(body)))


def test_a_message_is_frozen_keyword_only_and_equal_by_value() -> None:
    kind = made([("text", str)])
    assert kind(text="a") == kind(text="a")
    with pytest.raises(AttributeError):
        kind(text="a").text = "b"
    with pytest.raises(TypeError):
        kind("a")
    assert isinstance(kind, MessageMeta)


class TestFingerprint:
    def test_it_is_63_bits(self) -> None:
        assert 0 < fingerprint(made([("text", str)])) < 2**63

    def test_prose_does_not_change_it(self) -> None:
        plain = made([("text", str)])
        told = made(
            [("text", Annotated[str, msgspec.Meta(description="d", title="t", examples=["e"])])], doc="An order."
        )
        assert fingerprint(told) == fingerprint(plain)

    def test_a_mark_of_distrust_does_not_change_it(self) -> None:
        assert fingerprint(made([("text", Untrusted[str])])) == fingerprint(made([("text", str)]))

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param([("text", str), ("more", int, 0)], id="a field more"),
            pytest.param([("text", int)], id="another type"),
            pytest.param([("words", str)], id="another name"),
            pytest.param([("text", str, "")], id="a default"),
            pytest.param([("text", str | None)], id="none allowed"),
            pytest.param([("text", Annotated[str, msgspec.Meta(max_length=9)])], id="a constraint"),
            pytest.param([("text", bytes)], id="bytes"),
            pytest.param([], id="a field less"),
        ],
    )
    def test_the_shape_changes_it(self, fields: list[Any]) -> None:
        assert fingerprint(made(fields)) != fingerprint(made([("text", str)]))

    def test_the_name_changes_it(self) -> None:
        assert fingerprint(made([("text", str)], name="Order")) != fingerprint(made([("text", str)], name="Bill"))

    def test_a_field_called_title_counts_as_a_field(self) -> None:
        assert fingerprint(made([("title", str)])) != fingerprint(made([]))


class TestReading:
    def test_the_same_shape_is_held_to_the_letter(self) -> None:
        kind = made([("text", str)])
        with pytest.raises(MessageRefused, match="unknown field `more`"):
            Reader(kind).read(envelope(kind, {"type": "Order", "text": "a", "more": 1}))

    def test_an_unknown_shape_is_held_to_the_letter(self) -> None:
        kind = made([("text", str)])
        with pytest.raises(MessageRefused, match="unknown field `more`"):
            Reader(kind).read(envelope(kind, {"type": "Order", "text": "a", "more": 1}, schema=0))

    def test_of_another_shape_unknown_fields_are_dropped_and_counted(self) -> None:
        here, there = made([("text", str)]), made([("text", str), ("more", int, 0), ("most", int, 0)])
        reader = Reader(here)
        assert reader.read(envelope(there, there(text="a", more=1))) == here(text="a")
        assert reader.dropped == 2

    @pytest.mark.parametrize(
        ("annotation", "value", "expected"),
        [
            pytest.param(Line, {"text": "a", "x": 1}, Line("a"), id="struct"),
            pytest.param(list[Line], [{"text": "a", "x": 1}], [Line("a")], id="list"),
            pytest.param(dict[str, Line], {"k": {"text": "a", "x": 1}}, {"k": Line("a")}, id="dict"),
            pytest.param(Line | None, {"text": "a", "x": 1}, Line("a"), id="optional"),
            pytest.param(tuple[Line, ...], [{"text": "a", "x": 1}], (Line("a"),), id="tuple of any length"),
            pytest.param(tuple[int, Line], [1, {"text": "a", "x": 1}], (1, Line("a")), id="tuple"),
            pytest.param(Untrusted[Line], {"text": "a", "x": 1}, Line("a"), id="untrusted"),
            pytest.param(
                Annotated[list[Line], msgspec.Meta(max_length=3)],
                [{"text": "a", "x": 1}],
                [Line("a")],
                id="constrained",
            ),
        ],
    )
    def test_unknown_fields_are_dropped_at_any_depth(self, annotation: Any, value: Any, expected: Any) -> None:
        kind = made([("field", annotation)])
        reader = Reader(kind)
        read = reader.read(envelope(kind, {"type": "Order", "field": value}, schema=7))
        assert read.field == expected
        assert reader.dropped == 1

    def test_unknown_fields_are_dropped_in_the_member_of_a_union_that_is_there(self) -> None:
        one, two = made([("a", int)], name="One"), made([("b", int)], name="Two")
        kind = made([("field", one | two)])
        read = Reader(kind).read(envelope(kind, {"type": "Order", "field": {"type": "Two", "b": 1, "a": 2}}, schema=7))
        assert read.field == two(b=1)

    def test_another_shape_may_not_lack_or_retype_a_field(self) -> None:
        kind = made([("text", str)])
        for body in ({"type": "Order"}, {"type": "Order", "text": 1}, {"type": "Other", "text": ""}, [1], None):
            with pytest.raises(MessageRefused):
                Reader(kind).read(envelope(kind, body, schema=7))

    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (bytes, b"\x00\xff"),
            (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
            (dt.date, dt.date(2026, 1, 1)),
            (dt.timedelta, dt.timedelta(seconds=3)),
            (uuid.UUID, uuid.UUID(int=7)),
            (Decimal, Decimal("1.5")),
            (set[int], {1, 2}),
            (frozenset[str], frozenset({"a"})),
            (tuple[int, str], (1, "a")),
            (dict[int, str], {1: "a"}),
            (float, 1.0),
            (int | None, None),
        ],
    )
    def test_every_value_survives_a_change_of_shape(self, annotation: Any, value: Any) -> None:
        here, there = made([("field", annotation)]), made([("field", annotation), ("more", int, 0)])
        read: Any = Reader(here).read(envelope(there, there(field=value)))
        assert read.field == value

    @pytest.mark.parametrize("body", [b"\xc1", b"", b"\x81\x80\x01", b"\x91" * 20_000, b"\x81\xa1\xff\x01"])
    @pytest.mark.parametrize("schema", [0, 7])
    def test_hostile_bytes_are_refused_and_nothing_else(self, body: bytes, schema: int) -> None:
        kind = made([("field", Any)])
        asked = msgspec.structs.replace(envelope(kind, None, schema=schema), body=msgspec.Raw(body))
        with pytest.raises(MessageRefused):
            Reader(kind).read(asked)

    def test_json_in_an_envelope_is_held_to_the_letter(self) -> None:
        kind = made([("text", str)])
        text = encode(json.dumps({"type": "Order", "text": "a", "more": 1}))
        asked = msgspec.structs.replace(envelope(kind, None, schema=7), format=Format.JSON, body=msgspec.Raw(text))
        with pytest.raises(MessageRefused, match="unknown field `more`"):
            Reader(kind).read(asked)

    def test_a_refusal_names_the_place(self) -> None:
        kind = made([("lines", list[Line])])
        with pytest.raises(MessageRefused) as caught:
            Reader(kind).read(envelope(kind, {"type": "Order", "lines": [{"text": "a"}, {"text": 2}]}))
        assert caught.value.detail["path"] == "$.lines[1].text"
