"""A message that was taken away whole, with all that is known of why."""

import traceback
from typing import Final

import msgspec

STACK_MOST: Final = 20
"""Frames kept, the innermost."""
HISTORY_MOST: Final = 20


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to the quarantine. Times in Unix seconds."""

    id: str
    actor: str
    type: str
    sender: str
    """The sending actor, its cell if that is not known, or ``outside``."""
    correlation: str
    causation: str
    trust: int
    reason: str
    """The code of the error: ``message-refused``, ``handler-failed``, …"""
    text: str
    path: str = ""
    """Where in the message, if it does not fit its type."""
    stack: list[str] = []
    tries: int = 0
    history: list[str] = []
    """What was said of each failure, the latest last."""
    stored: float = 0.0
    died: float
    subject: str
    """Where it was stored, and goes again on ``retry``."""
    data: bytes
    """The message as it was stored."""


def frames_of(error: BaseException) -> list[str]:
    """Return ``file:line in function`` of the innermost frames of a traceback, outermost first."""
    found = traceback.extract_tb(error.__traceback__)[-STACK_MOST:]
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in found]
