"""What an actor is: a class with handlers, a name, and one job.

State in ``self`` dies with a restart; what must survive goes to ``ctx.memory``. An actor handles one message at a time
unless it says ``concurrency = N``.
"""

from typing import Any, ClassVar

import msgspec

from callboard import names
from callboard.errors import CallboardError

from .context import Context
from .errors import BadActor
from .grant import Grant
from .handlers import Table, build_table


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of an actor that has none."""


class Actor:
    """Base class of all actors.

    Class attributes: ``name`` (default: the class name in kebab-case), ``concurrency`` (messages in hand at once in
    each replica), ``may`` (what it is granted where no fleet file says otherwise), ``Options`` (a struct for the
    ``[actor.options]`` of the fleet file, given as ``self.options`` before ``__init__`` runs).
    """

    name: ClassVar[str] = "actor"
    concurrency: ClassVar[int] = 1
    may: ClassVar[Grant] = Grant()
    answers_with: ClassVar[tuple[type[CallboardError], ...]] = ()
    """Errors that are an answer, not a failure: they reach the asker as they are, and the actor object is kept."""
    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    table: ClassVar[Table] = Table({}, {})
    options: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check the class: its name, its concurrency and the signature of each handler. Raises BadActor."""
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        cls.name = names.checked(own["name"], "actor") if "name" in own else names.from_class(cls.__name__)
        if cls.concurrency not in range(1, 1025):
            raise BadActor(f"{cls.__qualname__}.concurrency is {cls.concurrency!r}: 1 to 1024", actor=cls.__qualname__)
        cls.table = build_table(cls)

    async def started(self, ctx: Context) -> None:
        """Run before the first message, and again after each restart and each failed message. Raising is a crash."""

    async def stopping(self, ctx: Context) -> None:
        """Run after the last message of an orderly stop; not after a crash. Has until ``drain_for`` ends."""


def build(actor: type[Actor], options: Any) -> Actor:
    """Return a new object of `actor` with its options in place before ``__init__`` runs."""
    made = actor.__new__(actor)
    made.options = options
    made.__init__()  # type: ignore[misc]  # on purpose: options come first
    return made
