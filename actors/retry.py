"""What becomes of a task that failed: tried again, and when, or taken away for a person. Pure.

The delay doubles and is spread by a fifth, so that what failed together does not come back together. It is never zero:
a queue that hands back at once burns all tries in milliseconds.
"""

from typing import Final, Literal, NamedTuple

from callboard.bus import MessageRefused
from callboard.store import MemoryConflict, StoreError

from .errors import ActUnsettled, DuplicateStep, StepsChanged, TaskExpired
from .llm import BudgetSpent, ModelFailed, OfficeAway
from .suspects import Poisonous

TRIES: Final = 5
FIRST: Final = 1.0
LONGEST: Final = 300.0
SPREAD: Final = 0.2
AWAY: Final = 5.0
"""Seconds until a task is tried again that found no model: it has waited for one already, as long as it may.

One that an endpoint took up and did not answer may have been paid for: that is a try."""
_HOPELESS: Final = (MessageRefused, Poisonous, DuplicateStep, StepsChanged, ActUnsettled, TaskExpired)
"""Errors that another try can only repeat."""

Judgement = Literal["again", "bury"]


class Verdict(NamedTuple):
    """``again`` in `delay` seconds, or ``bury``."""

    judgement: Judgement
    delay: float = 0.0
    counted: bool = True
    """Whether it was a try: a full disk, a model that is down, a budget that is spent are no failure of its own."""


def delay_after(tries: int, chance: float) -> float:
    """Return for how many seconds a task rests after it failed `tries` times; `chance` is between 0 and 1."""
    return float(min(FIRST * 2.0 ** (tries - 1), LONGEST)) * (1.0 - SPREAD + 2.0 * SPREAD * chance)


def judge_failure(error: BaseException, *, tries: int, most: int, chance: float) -> Verdict:
    """Judge a task that failed with `error` for the time number `tries` of at most `most`."""
    if isinstance(error, _HOPELESS):
        return Verdict("bury")
    if isinstance(error, MemoryConflict):
        return Verdict("again", 0.01 + 0.1 * chance, counted=False)
    if isinstance(error, OfficeAway) or (isinstance(error, ModelFailed) and error.detail.get("cost") == "nothing"):
        return Verdict("again", AWAY * (1.0 - SPREAD + 2.0 * SPREAD * chance), counted=False)
    if isinstance(error, BudgetSpent) and error.wait:  # without a window, waiting does not help
        return Verdict("again", min(error.wait + chance, LONGEST), counted=False)
    if isinstance(error, StoreError):
        return Verdict("again", delay_after(3, chance), counted=False)
    return Verdict("bury") if tries >= most else Verdict("again", delay_after(tries, chance))
