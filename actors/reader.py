"""From a body to a message: strict where the types agree, forgiving of unknown fields where the sender's is another.

The envelope's fingerprint decides. Equal, or unknown (0): held to the letter. Different: fields that this side does not
know are dropped and counted, anything else that does not fit is refused.
"""

from functools import lru_cache
from typing import Any

import msgspec

from callboard.bus import Envelope, Format, decode_body, refuse

from .message import Message, fingerprint


class Reader:
    """Reads bodies of one message type, or of one of a union of them."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._msgpack: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(annotation)
        self._json: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation)
        single = isinstance(annotation, type) and issubclass(annotation, Message)
        self.schema = fingerprint(annotation) if single else 0
        self.dropped = 0

    def read(self, envelope: Envelope) -> Any:
        """Return the message in `envelope`; raise MessageRefused with the path of what does not fit."""
        if envelope.format == Format.JSON:
            return self.read_json(decode_body(_text, envelope.body))
        if envelope.schema in (self.schema, 0) or not self.schema:
            return decode_body(self._msgpack, envelope.body)
        return self._read_other(envelope)

    def read_json(self, text: "str | bytes") -> Any:
        """Return the message in JSON `text`; raise MessageRefused with the path of what does not fit."""
        return decode_body(self._json, text)

    def _read_other(self, envelope: Envelope) -> Any:
        plain = decode_body(_anything, envelope.body)
        pruned, dropped = prune(plain, _shape(self._annotation))
        self.dropped += dropped
        try:
            return msgspec.convert(pruned, self._annotation)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise refuse("the message does not fit its type", error) from error


_text: "msgspec.msgpack.Decoder[str]" = msgspec.msgpack.Decoder(str)
_anything: "msgspec.msgpack.Decoder[Any]" = msgspec.msgpack.Decoder()


@lru_cache(maxsize=4096)
def reader_of(annotation: Any) -> Reader:
    """Return the reader of a message type; one for each type, so that its decoders are built once."""
    return Reader(annotation)


@lru_cache(maxsize=1024)
def _shape(annotation: Any) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(annotation)


def prune(value: Any, known: msgspec.inspect.Type) -> tuple[Any, int]:
    """Return plain data without the fields that the type `known` does not have, and how many those were."""
    if isinstance(known, msgspec.inspect.StructType) and isinstance(value, dict):
        return _prune_struct(value, known)
    if isinstance(known, msgspec.inspect.ListType) and isinstance(value, list):
        pruned = [prune(item, known.item_type) for item in value]
        return [item for item, _ in pruned], sum(count for _, count in pruned)
    if isinstance(known, msgspec.inspect.DictType) and isinstance(value, dict):
        entries = {key: prune(item, known.value_type) for key, item in value.items()}
        return {key: item for key, (item, _) in entries.items()}, sum(count for _, count in entries.values())
    return value, 0


def _prune_struct(value: dict[str, Any], known: msgspec.inspect.StructType) -> tuple[Any, int]:
    fields = {field.encode_name: field.type for field in known.fields}
    kept: dict[str, Any] = {}
    dropped = 0
    for name, item in value.items():
        if name in fields:
            kept[name], below = prune(item, fields[name])
            dropped += below
        elif name == known.tag_field:
            kept[name] = item
        else:
            dropped += 1
    return kept, dropped
