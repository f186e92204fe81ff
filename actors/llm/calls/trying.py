"""Whether a call that failed is made again, and when. Pure.

A refused connection costs nobody anything, so it is tried for as long as the call has time: an endpoint that is away
for a while makes agents wait, not fail. What an endpoint worked on and failed is made at most three times.
"""

from typing import Final

import msgspec

from callboard.errors import CallboardError

from ..errors import AnswerCut, BadAnswer, ModelBusy, ModelDown, ModelFailed, ModelStalled

TRIES: Final = 3
FIRST: Final = 0.25
LONGEST: Final = 5.0
LEAST_LEFT: Final = 0.05
"""Seconds that must be left after a rest, or it is of no use."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How far a call has come: requests that an endpoint took, and those that found nobody."""

    taken: int = 0
    refused: int = 0

    def after(self, error: ModelFailed | BadAnswer) -> "Tried":
        """Return how far it has come when it has failed once more."""
        if was_late(error):
            return self
        if isinstance(error, ModelDown) and error.detail.get("cost") == "nothing" and "status" not in error.detail:
            return msgspec.structs.replace(self, refused=self.refused + 1)
        return msgspec.structs.replace(self, taken=self.taken + 1)


def was_late(error: CallboardError) -> bool:
    """Return whether a model was not even asked, as its turn did not come in time: it says less than another error."""
    return bool(error.detail.get("late"))


def rest_before_next(error: Exception, tried: Tried, *, left: float, chance: float) -> float | None:
    """Return after how many seconds to try again; None: not at all.

    Args:
        error: how it failed last.
        tried: including that.
        left: seconds that the call has.
        chance: between 0 and 1, to spread what failed together.

    """
    if not isinstance(error, ModelFailed | BadAnswer) or isinstance(error, ModelStalled | AnswerCut):
        return None
    if isinstance(error, BadAnswer) and tried.taken >= 2:
        return None  # it was paid for; once more is a chance, twice is a habit
    if tried.taken >= TRIES and not isinstance(error, ModelBusy):
        return None
    rest = min(FIRST * 2.0 ** (tried.taken + tried.refused - 1), LONGEST) * (0.5 + chance)
    if isinstance(error, ModelBusy):
        rest = max(error.wait, rest)
    elif tried.refused:
        rest = min(rest, left / 2)  # nobody was there: the last moment that is of use is tried too
    return rest if rest + LEAST_LEFT < left else None
