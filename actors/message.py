"""Messages: frozen, keyword-only structs, tagged with their class name, closed to unknown fields.

A message's *fingerprint* is a hash of the shape of its type. It travels with every message, so that a receiver knows
whether the sender's idea of the type is its own. Where it is not, fields this side does not know are dropped and
counted; a bare message from outside has no fingerprint and is always held to the letter.
"""

import hashlib
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar, cast, dataclass_transform

import msgspec

T = TypeVar("T")

_EXTERNAL: Final = msgspec.Meta(extra={"trust": "external"})
Untrusted = Annotated[T, _EXTERNAL]
"""``Untrusted[str]``: text from outside (mail, ticket, page, tool output), external whoever passed it on."""

_PROSE: Final[dict[str, type]] = {"description": str, "title": str, "examples": list}
"""What a schema says to people. A *field* of that name is told apart by its value, which is a schema."""


class Json(msgspec.Struct, frozen=True):
    """A message as JSON text, as people and other languages write it; its type is checked by who receives it."""

    text: bytes
    type: str


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class MessageMeta(msgspec.StructMeta):
    """Makes every message keyword-only, and tells type checkers so, without each one saying it.

    msgspec passes ``frozen`` on to subclasses, but not ``kw_only``.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> "MessageMeta":
        """Make a message type."""
        config.setdefault("kw_only", True)
        return super().__new__(mcs, name, bases, namespace, **config)


# Once more on the class: mypy finds msgspec's own mark, on the base class, before the one on the metaclass.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Message(
    msgspec.Struct,
    metaclass=MessageMeta,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag=True,
    tag_field="type",
):
    """Base of everything actors say to each other.

    Subclass it with typed fields; add fields later with a default and never retype them. Equality is by value, change
    is ``msgspec.structs.replace``.
    """


def tag_of(message_type: type[Message]) -> str:
    """Return the name that a message of this type carries on the wire."""
    return str(message_type.__struct_config__.tag)


@lru_cache(maxsize=4096)
def fingerprint(message_type: type[Message]) -> int:
    """Return a 63-bit hash of the shape of `message_type`: field names, types, constraints and defaults."""
    shape = msgspec.json.encode(_quiet(msgspec.json.schema(message_type)), order="sorted")
    return int.from_bytes(hashlib.blake2b(shape, digest_size=8).digest(), "big") >> 1


@lru_cache(maxsize=4096)
def is_untrusted(message_type: type[Message]) -> bool:
    """Return whether a message of this type can carry :data:`Untrusted` text, at any depth."""
    from msgspec import inspect  # only who asks pays for it

    return _carries(inspect.type_info(message_type), set())


def _carries(found: Any, seen: set[Any]) -> bool:
    if isinstance(found, tuple):
        return any(_carries(each, seen) for each in cast("tuple[Any, ...]", found))  # type: ignore[redundant-cast]  # as below
    if not isinstance(found, msgspec.Struct):
        return False
    kind = getattr(found, "cls", None)
    if kind is not None:
        if kind in seen:
            return False
        seen.add(kind)
    if (getattr(found, "extra", None) or {}).get("trust") == "external":
        return True
    return any(_carries(getattr(found, name), seen) for name in found.__struct_fields__ if name != "cls")


def _quiet(schema: Any) -> Any:
    """Return a JSON schema without its prose: a changed docstring is no changed shape."""
    if isinstance(schema, dict):
        fields = cast("dict[str, Any]", schema)
        return {key: _quiet(value) for key, value in fields.items() if not isinstance(value, _PROSE.get(key, ()))}
    if isinstance(schema, list):
        return [_quiet(item) for item in cast("list[Any]", schema)]  # type: ignore[redundant-cast]  # not for pyright
    return schema
