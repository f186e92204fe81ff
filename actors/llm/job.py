"""One wish of an agent, as the cell sees it."""

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants something of a model, for which message, and until when."""

    actor: str
    message: str = ""
    tree: str = ""
    """The first message of the chain that it belongs to."""
    tenant: str = ""
    model: str = ""
    """By the name that agents use; empty: the default."""
    sensitive: bool = False
    urgent: bool = False
    prompt: str = "inline"
    version: str = ""
    memory: int = 0
    """How often the actor's memory had been changed by hand when it asked."""
    until: float
    """Monotonic seconds."""
    idle: float = 30.0
