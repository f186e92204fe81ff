"""From a body to a message: strict where the types agree, forgiving of unknown fields where the sender's is another.

The envelope's fingerprint decides. Equal, or unknown (0): held to the letter. Different: fields that this side does not
know are dropped and counted, anything else that does not fit is refused.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import repeat
from typing import Any, Final, TypeGuard

import msgspec
from msgspec import inspect

from callboard.bus import Answer, Batch, Envelope, Format, bodies_of, decode_body, envelope_at, refuse

from .message import Message, fingerprint

_JSON: Final = int(Format.JSON)


class Reader:
    """Reads bodies of one message type, or of one of a union of them."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._msgpack: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(annotation)
        self._many: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(list[annotation])
        self._json: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation)
        self.schema = fingerprint(annotation) if _is_message(annotation) else 0
        self.dropped = 0

    def read(self, envelope: Envelope | Answer) -> Any:
        """Return the message in `envelope`; raise MessageRefused with the path of what does not fit."""
        if envelope.format == _JSON:
            return self.read_json(decode_body(_text, envelope.body))
        if envelope.schema in (self.schema, 0) or not self.schema:
            return decode_body(self._msgpack, envelope.body)
        return self._read_other(envelope)

    def read_all(self, batch: Batch) -> list[Any]:
        """Return the messages of `batch`, decoded in one call; raise MessageRefused if one of them does not fit."""
        if batch.format == _JSON or not (batch.schema in (self.schema, 0) or not self.schema):
            return [self.read(envelope_at(batch, place, body)) for place, body in enumerate(bodies_of(batch))]
        found: list[Any] = decode_body(self._many, batch.bodies)
        return found

    def read_json(self, text: "str | bytes") -> Any:
        """Return the message in JSON `text`; raise MessageRefused with the path of what does not fit."""
        return decode_body(self._json, text)

    def _read_other(self, envelope: Envelope | Answer) -> Any:
        plain = decode_body(_anything, envelope.body)
        try:
            pruned, dropped = prune(plain, _shape(self._annotation))
            message = msgspec.convert(pruned, self._annotation)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise refuse("the message does not fit its type", error) from error
        self.dropped += dropped
        return message


def _is_message(annotation: Any) -> TypeGuard[type[Message]]:
    return isinstance(annotation, type) and issubclass(annotation, Message)


_text: "msgspec.msgpack.Decoder[str]" = msgspec.msgpack.Decoder(str)
_anything: "msgspec.msgpack.Decoder[Any]" = msgspec.msgpack.Decoder()


@lru_cache(maxsize=4096)
def reader_of(annotation: Any) -> Reader:
    """Return the reader of a message type; one for each type, so that its decoders are built once."""
    return Reader(annotation)


@lru_cache(maxsize=1024)
def _shape(annotation: Any) -> inspect.Type:
    return inspect.type_info(annotation)


def prune(value: Any, known: inspect.Type) -> tuple[Any, int]:
    """Return plain data without the fields that the type `known` does not have, and how many those were."""
    if isinstance(known, inspect.Metadata):
        return prune(value, known.type)
    if isinstance(known, inspect.UnionType):
        return prune(value, _member(value, known))
    if _is_dict(value):
        return _prune_dict(value, known)
    if _is_list(value):
        return _prune_list(value, known)
    return value, 0


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _prune_dict(value: dict[Any, Any], known: inspect.Type) -> tuple[Any, int]:
    if isinstance(known, inspect.DictType):
        types = dict.fromkeys(value, known.value_type)
    elif isinstance(known, inspect.StructType | inspect.DataclassType | inspect.TypedDictType):
        types = {field.encode_name: field.type for field in known.fields}
        if isinstance(known, inspect.StructType) and known.tag_field:
            types[known.tag_field] = inspect.AnyType()
    else:
        return value, 0
    kept = {key: prune(item, types[key]) for key, item in value.items() if key in types}
    below = sum(count for _, count in kept.values())
    return {key: item for key, (item, _) in kept.items()}, len(value) - len(kept) + below


def _prune_list(value: list[Any], known: inspect.Type) -> tuple[Any, int]:
    if isinstance(known, inspect.CollectionType):
        types: Iterable[inspect.Type] = repeat(known.item_type)
    elif isinstance(known, inspect.TupleType) and len(known.item_types) == len(value):
        types = known.item_types
    else:
        return value, 0
    pruned = [prune(item, kind) for item, kind in zip(value, types)]  # noqa: B905 - one of them may repeat forever
    return [item for item, _ in pruned], sum(count for _, count in pruned)


def _member(value: Any, union: inspect.UnionType) -> inspect.Type:
    """Return the member of `union` that `value` is meant for: by its tag, or by its shape."""
    for member in union.types:
        bare = member.type if isinstance(member, inspect.Metadata) else member
        if _is_list(value) and isinstance(bare, inspect.CollectionType | inspect.TupleType):
            return bare
        if _is_dict(value) and isinstance(bare, inspect.StructType) and bare.tag_field:
            if value.get(bare.tag_field) == bare.tag:
                return bare
        elif _is_dict(value) and not isinstance(bare, inspect.CollectionType | inspect.TupleType | inspect.NoneType):
            return bare
    return inspect.AnyType()
