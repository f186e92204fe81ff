"""One thing that an agent wants of a model, as the cell sees it."""

from typing import Final

import msgspec

from .errors import ModelStalled

GRACE: Final = 0.25
GRACE_PART: Final = 0.05
"""Seconds, and the part of a call's time, after which what waits without a reason of its own is cut off."""


WAIT_GRACE: Final = 1.0
"""Seconds for which a wait is declared beyond the end of its job: who waits must have found out first."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants something of a model, for which message, and until when."""

    actor: str
    message: str = ""
    tree: str = ""
    """The first message of the chain that it belongs to."""
    tenant: str = ""
    model: str
    """By the name that agents use."""
    sensitive: bool = False
    urgent: bool = False
    prompt: str = "inline"
    version: str = ""
    memory: int = 0
    """How often the actor's memory had been changed by hand when it asked."""
    until: float
    """When each wait on its way ends by itself, with its own reason (monotonic seconds)."""
    end: float
    """When it is over, whatever it waits for: a little later."""
    idle: float = 30.0


def until_before(end: float, *, now: float) -> float:
    """Return when waits have to end, so that their reasons are known before all is over."""
    return end - min(GRACE, GRACE_PART * max(0.0, end - now))


def late(job: Job, why: str = "", *, sent: bool = True) -> ModelStalled:
    """Return the error for a job whose time is over; `why`: what it waited for; `sent`: whether a model was asked."""
    text = f"{job.actor} had no answer of {job.model} in its time" + (f": {why}" if why else "")
    return ModelStalled(text, model=job.model, cost="unknown" if sent else "nothing")
