"""What can be spoken to: an actor class, one of its handlers, or a name. Resolved once for each type of message."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from callboard import names
from callboard.bus import MessageRefused

from .errors import BadActor
from .handlers import Handler
from .message import Message, fingerprint, tag_of
from .reader import Reader, reader_of

if TYPE_CHECKING:
    from .actor import Actor


def target_name(target: "type[Actor] | Handler[Any, Any] | str") -> str:
    """Return the name a target stands for: its own if it is text, else its actor class's."""
    if isinstance(target, str):
        return names.checked(target, "actor")
    owner = target.owner if isinstance(target, Handler) else target
    name = getattr(owner, "name", None)
    if not isinstance(name, str):
        raise BadActor(f"{target!r} is no target: use an Actor class, one of its handlers, or a name")
    return name


class Course(msgspec.Struct, eq=False):
    """Where a message of one type goes, how it is labelled, and how its reply is read. There is one of each."""

    name: str
    tag: str
    schema: int
    reader: Reader


@lru_cache(maxsize=4096)
def course_to(target: "type[Actor] | Handler[Any, Any] | str", message: type[Message]) -> Course:
    """Return the course of messages of type `message` to `target`; kept, since it costs as much as all the rest."""
    tag = tag_of(message)
    return Course(target_name(target), tag, fingerprint(message), reader_of(reply_of(target, tag)))


def reply_of(target: "type[Actor] | Handler[Any, Any] | str", tag: str) -> Any:
    """Return what `target` says it replies to the message `tag`, or Any if this side cannot know.

    Raises MessageRefused if it is known not to take such messages.
    """
    if isinstance(target, str):
        return Any
    owner = target.owner if isinstance(target, Handler) else target
    table = getattr(owner, "table", None)
    if owner is None or table is None:
        return Any
    route = table.direct.get(tag)
    if route is None:
        legal = ", ".join(sorted(table.direct)) or "no messages at all"
        raise MessageRefused(f"{owner.__name__} takes {legal}, not {tag}", path="$.type")
    return route.reply
