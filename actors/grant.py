"""What an actor may do: an allow list, empty by default.

Policy is code, not prompt: the context checks the grant before anything leaves the actor.
"""

from typing import Final, Literal

import msgspec

from callboard.names import checked

from .errors import PermissionDenied

Verb = Literal["tell", "ask", "enqueue", "publish", "spawn", "act"]
VERBS: Final[tuple[Verb, ...]] = ("tell", "ask", "enqueue", "publish", "spawn", "act")
ANYONE: Final = "*"


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of the actors, topics, actor classes and acts that an actor may use. ``"*"`` stands for every name.

    To reply is always allowed. What is not named is refused.
    """

    tell: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    enqueue: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    spawn: tuple[str, ...] = ()
    act: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold each name to the name gate."""
        for verb in VERBS:
            for name in getattr(self, verb):
                if name != ANYONE:
                    checked(name, "topic" if verb == "publish" else "actor")

    def allows(self, verb: Verb, name: str) -> bool:
        """Return whether the grant names `name` for `verb`."""
        names: tuple[str, ...] = getattr(self, verb)
        return name in names or ANYONE in names

    def check(self, actor: str, verb: Verb, name: str) -> None:
        """Raise :class:`PermissionDenied` unless the grant of `actor` allows `verb` on `name`."""
        if not self.allows(verb, name):
            raise PermissionDenied(
                f"{actor} may not {verb} {name!r}: its grant names {list(getattr(self, verb))} (add it to may.{verb})",
                actor=actor,
                verb=verb,
                name=name,
            )


EVERYTHING: Final = Grant(tell=("*",), ask=("*",), enqueue=("*",), publish=("*",), spawn=("*",), act=("*",))
