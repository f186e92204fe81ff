"""Typed values as bytes and back: msgpack by msgspec, with the store's own errors."""

import functools
from contextlib import suppress
from typing import Any, Final

import msgspec

from .errors import InvalidMemoryKey, ValueTooLarge, WrongValueType
from .stored_keys import MARK, named

_LONGEST_KEY: Final = 128  # bytes
_LONGEST_STORED: Final = 3 * _LONGEST_KEY + 2  # with a namespace, each byte of which may become two

_encoder = msgspec.msgpack.Encoder()


def encoded(key: str, value: object, *, limit: int) -> bytes:
    """Return the bytes of `value`; `limit` is in bytes.

    Raises :class:`WrongValueType` for what msgpack cannot hold and :class:`ValueTooLarge`.
    """
    try:
        data = _encoder.encode(value)
    # Besides its own error msgspec raises these: an unknown type, an int beyond 64 bits, a lone surrogate, a
    # cycle.
    except (msgspec.MsgspecError, TypeError, OverflowError, ValueError, RecursionError) as error:
        raise WrongValueType(
            f"memory {named(key)} cannot hold a {type(value).__name__}: {error}; use builtins or msgspec structs",
            key=key,
        ) from error
    if len(data) > limit:
        raise ValueTooLarge(
            f"memory {named(key)} was given {len(data)} bytes, the limit is {limit}: split it or store it as a file",
            key=key,
            size=len(data),
            limit=limit,
        )
    return data


@functools.lru_cache(256)
def _decoder(wanted: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(wanted)


def decoded(key: str, data: bytes, wanted: Any) -> Any:
    """Return a fresh value of type `wanted`; raises :class:`WrongValueType` if the bytes are of another."""
    try:
        return _decoder(wanted).decode(data)
    # The three families that msgspec raises for input, and TypeError for a type that it cannot decode at all.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
        name = getattr(wanted, "__name__", str(wanted))
        raise WrongValueType(f"memory {named(key)} does not hold a {name}: {error}", key=key) from error


def checked_key(key: object) -> str:
    """Return `key` unchanged if memory may hold it; raise :class:`InvalidMemoryKey` otherwise.

    One that begins with NUL is a stored key of a namespace, and may be longer.
    """
    if type(key) is str and 0 < len(key) <= _LONGEST_KEY and key.isascii():
        return key
    most = _LONGEST_STORED if isinstance(key, str) and key.startswith(MARK) else _LONGEST_KEY
    return _fitting(key, most)


def checked_name(name: object) -> str:
    """Return `name` unchanged if it may be a namespace, or a key in one."""
    return _fitting(name, _LONGEST_KEY)


def _fitting(key: object, most: int) -> str:
    if isinstance(key, str) and 1 <= len(key) <= most:
        with suppress(UnicodeEncodeError):  # a lone surrogate: no UTF-8, so no key
            if len(key.encode()) <= most:
                return key
    shown = repr(key) if len(repr(key)) <= 80 else repr(key)[:77] + "..."
    raise InvalidMemoryKey(f"{shown} is not a memory key: use text of 1 to {_LONGEST_KEY} bytes in UTF-8")
