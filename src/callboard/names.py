"""The one name gate: what a fleet, actor, topic, cell or group may be called.

Names become subject tokens and file names, so the gate is an allow list and its regular expression is used with
``fullmatch``: ``$`` would let a trailing newline through, and the server itself accepts ``*`` and ``>`` in a publish.
"""

import re
from typing import Final, Literal

from .errors import InvalidName, kebab

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
OFFICE: Final = "office"
LOCAL_MODEL: Final = "local-model"
"""Actors and cells that the runtime adds where a fleet asks models: the office, and the model in the box."""
Kind = Literal["fleet", "actor", "topic", "cell", "group"]


def checked(name: object, kind: Kind) -> str:
    """Return `name` unchanged if it may be used for `kind`; raise :class:`InvalidName` otherwise."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "..."
    article = "an" if kind == "actor" else "a"
    raise InvalidName(
        f"{shown} is not {article} {kind} name: use 1 to 63 of a-z, 0-9 and '-', starting with a letter",
        kind=kind,
    )


def from_class(class_name: str) -> str:
    """Return the default name of an actor class: its name in kebab-case."""
    return checked(kebab(class_name), "actor")
