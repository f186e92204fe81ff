"""One thing that an agent wants of a model, as the cell sees it."""

from typing import Final

import msgspec

from .errors import ModelStalled

GRACE: Final = 0.25
GRACE_PART: Final = 0.05
"""A wait ends so many seconds before its job, or this part of the job's time if that is less."""
WAIT_GRACE: Final = 1.0
"""Seconds for which a wait is declared beyond the end of its job: who waits must have found out first."""


class Progress:
    """How far a job has come."""

    __slots__ = ("doing", "sent")

    def __init__(self) -> None:
        self.doing = ""
        """What it waits for, or came of its last try, in words."""
        self.sent = False
        """Whether any model was asked: then it may cost something."""


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
    progress: Progress = msgspec.field(default_factory=Progress)


def until_before(end: float, *, now: float) -> float:
    """Return when waits have to end, so that their reasons are known before all is over."""
    return end - min(GRACE, GRACE_PART * max(0.0, end - now))


def late(job: Job) -> ModelStalled:
    """Return the error for a job whose time is over."""
    text = f"{job.actor} had no answer of {job.model} in its time"
    why = f": {job.progress.doing}" if job.progress.doing else ""
    return ModelStalled(text + why, model=job.model, cost="unknown" if job.progress.sent else "nothing")
