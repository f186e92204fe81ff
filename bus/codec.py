"""Bytes to envelopes and back. Bad bytes become :class:`MessageRefused`, never anything else.

msgspec raises from three families on hostile input: its own errors, ``RecursionError`` on deep nesting and
``UnicodeDecodeError`` on bad UTF-8. They are caught together here, and the size is checked before anything is decoded.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from callboard.errors import CallboardError, Detail, from_wire
from callboard.printable import printable

from .batch import array_of, envelopes_of, is_sound
from .envelope import ANSWERS, BATCH, VERSION, Answers, Batch, Envelope, ErrorBody, Kind
from .errors import MessageRefused, MessageTooLarge

FRAME_MOST: Final = 64
"""Parts in one frame: beyond 64 the gain flattens and latency grows."""

_DECODE_ERRORS: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError)
_ERROR_MOST: Final = 4096
_encoder: Final = msgspec.msgpack.Encoder()
_envelope: Final = msgspec.msgpack.Decoder(Envelope)
_error: Final = msgspec.msgpack.Decoder(ErrorBody)
_frame: Final = msgspec.msgpack.Decoder(list[Envelope])
_batch: Final = msgspec.msgpack.Decoder(Batch)
_answers: Final = msgspec.msgpack.Decoder(Answers)
_parts: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])

_REPLY: Final = int(Kind.REPLY)

encode = _encoder.encode
Part = Envelope | Batch | Answers | MessageRefused


def refuse(reason: str, error: Exception) -> MessageRefused:
    """Wrap what msgspec raised; ``detail['path']`` keeps the place in the message."""
    text = str(error) or type(error).__name__
    _, marker, path = text.rpartition(" - at `")
    return MessageRefused(f"{reason}: {text[:300]}", path=path.rstrip("`") if marker else "$")


def decode_body(decoder: "msgspec.msgpack.Decoder[Any] | msgspec.json.Decoder[Any]", data: Any) -> Any:
    """Decode with `decoder`; raise :class:`MessageRefused` with the path of what is wrong."""
    try:
        return decoder.decode(data)
    except _DECODE_ERRORS as error:
        raise refuse("the message does not fit its type", error) from error


def error_body(error: CallboardError) -> msgspec.Raw:
    """Return an error in its wire form, whatever its text and detail hold."""
    try:
        return msgspec.Raw(encode(ErrorBody(error.code, error.text[:_ERROR_MOST], error.detail)))
    except (UnicodeEncodeError, OverflowError):  # a file name that is not UTF-8, a number beyond 64 bits
        detail: Detail = {name: printable(str(value)) for name, value in error.detail.items()}
        return msgspec.Raw(encode(ErrorBody(error.code, printable(error.text)[:_ERROR_MOST], detail)))


def error_in(envelope: Envelope) -> CallboardError:
    """Return the error that `envelope` brings; one that cannot be read is a MessageRefused, so that nobody waits on."""
    try:
        body: ErrorBody = decode_body(_error, envelope.body)
    except MessageRefused as error:
        return error
    return from_wire(body.code, body.text, body.detail)


def is_bare(data: bytes) -> bool:
    """Return whether `data` is a bare message: a JSON object or a msgpack map."""
    first = data[0] if data else 0
    return first == 0x7B or 0x80 <= first <= 0x8F or first in (0xDE, 0xDF) or data[:1].isspace()


def join(parts: Sequence[bytes]) -> bytes:
    """Return one part as it is, several as a frame."""
    return parts[0] if len(parts) == 1 else array_of(parts)


def _is_frame(data: bytes) -> bool:
    """Return whether the array in `data` holds arrays: look at its first element's first byte."""
    first = data[0]
    if 0x91 <= first <= 0x9F:
        inner = data[1:2]
    elif first == 0xDC:
        inner = data[3:4]
    else:
        inner = b""
    return bool(inner) and (0x90 <= inner[0] <= 0x9F or inner[0] == 0xDC)


def parts_of(data: bytes) -> list[Part]:
    """Return what travels in `data` in order; what cannot be read stands there as the error that says why.

    A frame of envelopes is decoded in one call; only when that fails, or when there are batches among them, is it taken
    apart, so that a bad one costs itself alone.
    """
    if not data:
        return [MessageRefused("no bytes: an envelope is a msgpack array", path="$")]
    if not _is_frame(data):
        return [_open(data)]
    try:
        envelopes = _frame.decode(data)
    except _DECODE_ERRORS:
        return _take_apart(data)
    if any(each.version != VERSION for each in envelopes):
        return _take_apart(data)
    return list(envelopes)


def split(data: bytes) -> list[Envelope | MessageRefused]:
    """Return the messages in `data` one by one, as :func:`parts_of` does, each in an envelope of its own."""
    found: list[Envelope | MessageRefused] = []
    for part in parts_of(data):
        if isinstance(part, Batch):
            found += envelopes_of(part)
        elif isinstance(part, Answers):
            found += _replies_of(part)
        else:
            found.append(part)
    return found


def _replies_of(answers: Answers) -> list[Envelope]:
    return [
        Envelope(
            VERSION, _REPLY, answers.type, answers.schema, "", answers.sender, question,
            format=answers.format, body=body, epoch=answers.epoch,
        )
        for question, body in zip(answers.questions, answers.bodies, strict=True)
    ]  # fmt: skip


def apart(parts: Sequence[bytes]) -> list[bytes]:
    """Return encoded parts with one message in each."""
    return [each for part in parts for each in (map(encode, opened([part])) if _mark(part) != VERSION else [part])]


def opened(parts: Sequence[bytes]) -> list[Envelope]:
    """Return the envelopes in `parts`, without what cannot be read."""
    return [each for part in parts for each in split(part) if isinstance(each, Envelope)]


def _take_apart(data: bytes) -> list[Part]:
    try:
        return [_open(bytes(part)) for part in _parts.decode(data)]
    except _DECODE_ERRORS as error:
        return [refuse("not a frame", error)]


def _mark(data: bytes) -> int:
    """Return the first element of the array in `data`, if it is a small number."""
    mark = data[3:4] if data[0] == 0xDC else data[1:2]
    return mark[0] if mark else 0


def _open(data: bytes) -> Part:
    mark = _mark(data)
    try:
        if mark == BATCH:
            batch = _batch.decode(data)
            return batch if is_sound(batch) else MessageRefused("the batch does not hold what it says", path="$[15]")
        if mark == ANSWERS:
            answers = _answers.decode(data)
            sound = len(answers.questions) == len(answers.bodies)
            return answers if sound else MessageRefused("not as many replies as questions", path="$[6]")
        envelope = _envelope.decode(data)
    except _DECODE_ERRORS as error:
        return refuse("not an envelope", error)
    return envelope if envelope.version == VERSION else _other_version(envelope)


def _other_version(envelope: Envelope) -> MessageRefused:
    return MessageRefused(f"envelope version {envelope.version}: this side reads {VERSION}", path="$[0]")


def check_size(data: bytes, limit: int) -> None:
    """Raise :class:`MessageTooLarge` when `data` would not pass the server."""
    if len(data) > limit:
        raise MessageTooLarge(f"{len(data)} bytes: the server takes {limit}", size=len(data), limit=limit)
