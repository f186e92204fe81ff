"""What the model's side needs to know of the message in hand, and may do for it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """One handler that asks models."""

    name: str
    """The actor's."""
    message: str
    """The id of the message in hand; empty between messages."""
    tree: str
    private: bool
    until: float
    """When nobody waits for the message any more (monotonic seconds); 0.0: nobody said."""
    trust: Callable[[], int]
    waiting: Callable[[str, float], AbstractContextManager[None]]
    """Declares a wait on something, for so many seconds at most."""
    doubt: Callable[[int], None]
    """Believes the handler no more than so far from now on."""
    step: Callable[..., Awaitable[Any]]
    """``ctx.step``."""
    permit: Callable[[str, Callable[..., Awaitable[Any]], Sequence[Any]], None]
    """Raises PermissionDenied unless the actor's grant allows an act with these arguments, and records that."""
    act: Callable[[str, Callable[..., Awaitable[Any]], Sequence[Any]], Awaitable[Any]]
    """Does what a model asks for, if the actor's grant allows it with these arguments."""
    refused: Callable[[str, str], None]
    """Records that a tool was refused, and why."""
