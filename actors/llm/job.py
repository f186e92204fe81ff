"""One thing that an agent wants of a model, as the cell sees it."""

import msgspec

from .errors import ModelStalled


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
    """Monotonic seconds."""
    idle: float = 30.0


def late(job: Job, why: str = "") -> ModelStalled:
    """Return the error for a job whose time is over; `why` says what became of its last try."""
    text = f"{job.actor} had no answer of {job.model} in its time" + (f"; the last try: {why}" if why else "")
    return ModelStalled(text, model=job.model, cost="unknown")
