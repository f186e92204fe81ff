"""What one supervisor keeps, and the words between it and its shell: the events it is told, the actions it orders.

All of them are values. :mod:`.tree` decides, a shell that owns tasks or processes tells and does.
"""

from typing import Literal

import msgspec

from callboard.actors import Intensity, Restart

from .restart import Exit

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]


class Child(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One child, which may itself be a supervisor."""

    name: str
    restart: Restart = "permanent"
    intensity: Intensity = Intensity()
    """Its own budget; one crash more and it is spent."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The children in the order in which they start, and what the end of one means for the others."""

    children: tuple[Child, ...] = ()
    strategy: Strategy = "one_for_one"
    intensity: Intensity | None = None
    """The budget of the group, beside those of its children; None: the group is not counted."""
    on_spent: Literal["hold", "escalate"] = "hold"
    """What a child that has spent its own budget means: it alone is held, or the whole group is given up."""
    top: bool = False
    """There is no parent: what would be given up is held, all of it, until one of its children is revived."""
    together: bool = False
    """In one_for_one, first starts wait for nobody: children that do not need each other need no order."""

    def __post_init__(self) -> None:
        names = [child.name for child in self.children]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"children need different names; named twice: {', '.join(twice)}")


class _Of(msgspec.Struct, frozen=True):
    name: str


# --- events: what the shell tells


class Begin(msgspec.Struct, frozen=True):
    """Start the children. What was held before this stays held."""


class End(msgspec.Struct, frozen=True):
    """Stop the children, for good."""


class Started(_Of, frozen=True):
    """Its start is finished."""


class Served(_Of, frozen=True):
    """It served its first real message since its start."""


class Exited(_Of, frozen=True):
    """Its life is over, told or not; exactly one for each :class:`Start`."""

    how: Exit
    why: str = ""


class Faltered(_Of, frozen=True):
    """It crashed in part, such as one replica of several, and lives on."""

    why: str = ""


class Due(_Of, frozen=True):
    """The seconds of a :class:`Wait` are over."""


class Held(_Of, frozen=True):
    """A person wants it stopped, and left so."""

    why: str = "held by hand"


class Revived(_Of, frozen=True):
    """A person ends a hold, or has what ended by itself run again."""


class Restarted(_Of, frozen=True):
    """A person wants it to start anew, or at once if it waits, or out of a hold."""


Event = Begin | End | Started | Served | Exited | Faltered | Due | Held | Revived | Restarted


# --- actions: what the shell does, in this order, without waiting for the effect of one before the next


class Start(_Of, frozen=True):
    """Begin a life. It ends in :class:`Exited`, also when the start fails or takes too long."""


class Stop(_Of, frozen=True):
    """Ask it to end, and kill it when its time is up; :class:`Exited` follows."""


class Wait(_Of, frozen=True):
    """Tell :class:`Due` after so many `seconds`."""

    seconds: float


class Mend(_Of, frozen=True):
    """Make the part that crashed anew after so many `seconds`, unless this life is over by then."""

    seconds: float


class Hold(_Of, frozen=True):
    """Refuse its messages from now on, and show `why`, until its next :class:`Start`."""

    why: str


class Ended(_Of, frozen=True):
    """It is gone for good: its work is done, or it was temporary."""


class Recovered(_Of, frozen=True):
    """A restart is done: it serves again, after so many `crashes` since it last served."""

    crashes: int


class Escalate(msgspec.Struct, frozen=True):
    """The group is given up, and all of it is stopped: the shell tells the parent that this node crashed.

    At the top it comes first, and a :class:`Hold` of each child follows.
    """

    why: str


Action = Start | Stop | Wait | Mend | Hold | Ended | Recovered | Escalate
