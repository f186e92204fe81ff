"""What an actor may do: an allow list, empty by default.

Policy is code, not prompt: the context checks the grant before anything leaves the actor.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from callboard.bus import ANYONE

from .errors import BadGrant, PermissionDenied
from .terms import Term, fields_of, parse_term

Verb = Literal["tell", "ask", "enqueue", "publish", "spawn", "act"]
VERBS: Final[tuple[Verb, ...]] = ("tell", "ask", "enqueue", "publish", "spawn", "act")


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names of the actors, topics, actor classes and acts that an actor may use. ``"*"`` stands for every name.

    A name may have terms: ``"refund(amount <= 50)"``, ``"clerk until 2026-12-31"`` (see :mod:`.terms`). To reply is
    always allowed. What is not named is refused.
    """

    tell: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    enqueue: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    spawn: tuple[str, ...] = ()
    act: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Read each entry; raises BadGrant, InvalidName."""
        for verb in VERBS:
            for text, term in self.entries(verb):
                if verb == "spawn" and term.clauses:
                    raise BadGrant(f"{text!r}: to spawn is with no values, so nothing can be asked of them")

    def entries(self, verb: Verb) -> Iterator[tuple[str, Term]]:
        """Yield what is granted for `verb`, as it is written and as it is meant."""
        for text in getattr(self, verb):
            yield text, parse_term(text, "topic" if verb == "publish" else "actor")

    def names(self, verb: Verb) -> tuple[str, ...]:
        """Return the names that are granted for `verb`, on whatever terms."""
        return tuple(dict.fromkeys(term.name for _, term in self.entries(verb)))

    def allows(self, verb: Verb, name: str) -> bool:
        """Return whether the grant names `name` for `verb` without any terms."""
        names: tuple[str, ...] = getattr(self, verb)
        return name in names or ANYONE in names

    def check(self, actor: str, verb: Verb, name: str, *, given: object = None, now: float = 0.0) -> None:
        """Raise :class:`PermissionDenied` unless the grant of `actor` allows `verb` on `name`.

        Args:
            actor: whose grant this is.
            verb: what it is about to do.
            name: to whom, or what.
            given: the message, or the :class:`~.terms.Call` of an act: what clauses are about.
            now: Unix seconds.

        """
        if self.allows(verb, name):
            return
        fields, whys = fields_of(given), list[str]()
        for text, term in self.entries(verb):
            if term.name in (name, ANYONE):
                if not (why := term.objection(fields, now=now)):
                    return
                whys.append(f"{text!r}: {why}")
        told = "; ".join(whys) or f"its grant names {list(getattr(self, verb))} (add it to may.{verb})"
        raise PermissionDenied(f"{actor} may not {verb} {name!r}: {told}", actor=actor, verb=verb, name=name)

    def excess(self, other: "Grant") -> tuple[Verb, str] | None:
        """Return the first entry that allows what `other` does not; None if there is none."""
        for verb in VERBS:
            for text, term in self.entries(verb):
                if not any(term.is_within(wider) for _, wider in other.entries(verb)):
                    return verb, text
        return None


EVERYTHING: Final = Grant(tell=("*",), ask=("*",), enqueue=("*",), publish=("*",), spawn=("*",), act=("*",))
