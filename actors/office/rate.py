"""Shares of the limits of a model."""

from typing import Final

from ..message import Message

BURST_TOKENS: Final = 0.5
"""Of its rate a minute, that a cell lets through at once: no call may be larger."""


class TakeRate(Message):
    """At which rate may this cell ask a model, for which so many of its actors wait?"""

    epoch: int
    model: str
    actors: int
    tokens: int
    """Of the largest call that waits."""


class Rate(Message):
    """A share of a model's limits, for a few seconds."""

    requests: float = 0.0
    """A minute; 0.0: without limit."""
    tokens: float = 0.0
    most_tokens: float = 0.0
    """That one call may ever have; 0.0: without limit."""
    left: float = 0.0
    """Seconds for which this is so."""
    pause: float = 0.0
    """Seconds in which nobody may ask."""


class Pressed(Message):
    """The endpoint of a model said that it is asked too much, and to rest for so many seconds (0.0: it did not say)."""

    model: str
    wait: float
