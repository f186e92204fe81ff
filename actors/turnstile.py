"""How many outsiders come through a front door: a token bucket, counted when somebody comes. Pure but for its state."""

from typing import Annotated, Final

import msgspec

RATE: Final = 200.0
BURST: Final = 400


class DoorLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[actor.door]``: what all outsiders together may say at one actor's front door."""

    rate: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = RATE
    """Messages a second, in the long run."""
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = BURST
    """Messages at once after a rest."""


class Turnstile:
    """For one door. Time is what the caller says it is, in monotonic seconds."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._tokens = float(limits.burst)
        self._at: float | None = None

    def admit(self, now: float) -> float:
        """Let one more through and return 0.0, or return for how many seconds to wait before the next try."""
        if self._at is not None:
            self._tokens = min(self._limits.burst, self._tokens + (now - self._at) * self._limits.rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._limits.rate
