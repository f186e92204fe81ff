"""How it stands with one supervisor and its children: values that :func:`.tree.step` changes, and a shell may show."""

from typing import Final, Literal

import msgspec

from .plan import Plan

Phase = Literal["idle", "starting", "running", "doomed", "stopping", "waiting", "held", "ended"]
"""What they mean is told in :mod:`.tree`."""
Mode = Literal["new", "up", "held", "ending", "over"]
"""``held``: at the top, and given up; a revival makes it ``up`` again."""
LIVES: Final = frozenset({"starting", "running"})
GOES: Final = frozenset({"doomed", "stopping"})
_QUIET: Final = frozenset({"running", "held", "ended"})


class Kid(msgspec.Struct, frozen=True):
    """How it stands with one child."""

    name: str
    phase: Phase = "idle"
    then: Phase = "idle"
    """Its phase after it was stopped."""
    lives: int = 0
    crashes: tuple[float, ...] = ()
    """Monotonic times of those that its budget still counts."""
    fallen: int = 0
    """Crashes since it last served."""
    served: bool = False
    first: bool = True
    """Its next start is its first, or its first since its whole group was held."""
    fell: bool = False
    """It is held because its whole group is."""
    due: float = 0.0
    """When its backoff is over."""


class State(msgspec.Struct, frozen=True):
    """How it stands with one node; made by :func:`fresh`, changed by :func:`.tree.step`."""

    kids: tuple[Kid, ...]
    mode: Mode = "new"
    crashes: tuple[float, ...] = ()
    """Monotonic times of the restarts that the group's budget still counts."""
    why: str = ""
    """Why the group was given up or is held; empty while it is not."""

    @property
    def settled(self) -> bool:
        """Whether each child runs, or will not run until something happens."""
        return self.mode != "new" and all(kid.phase in _QUIET for kid in self.kids)

    @property
    def over(self) -> bool:
        """Whether everything was stopped for good."""
        return self.mode == "over"


def fresh(plan: Plan) -> State:
    """Return the state before Begin."""
    return State(tuple(Kid(child.name) for child in plan.children))
