"""How what was found is put in order: likeness first, then what became of it.

Words (BM25) and vectors (cosine) are each divided by the best of their list and added. On long conversations that
finds more than either alone, and more than adding ranks (docs/memory.md has the figures). Outcome, trust and age then
weigh a few hundredths: they decide between what is about equally alike, and lift nothing that is off the point.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .episode import Recalled

OUTCOME: Final = 0.10
TRUST: Final = 0.05
FRESH: Final = 0.02
HALF_LIFE: Final = 90 * 86_400.0
"""Seconds in which the weight of being new halves."""
BESIDE: Final = 0.5
"""A warning is given if it is at least this part as alike as the best that was found."""
Z: Final = 1.645
"""One-sided 95 % (Wilson 1927)."""


class Alike(msgspec.Struct, frozen=True):
    """How alike an episode is to a query."""

    words: float = 0.0
    """BM25, higher is better; 0.0: no word in common."""
    vector: float | None = None
    """Cosine; None: not compared."""


def relevance(found: Mapping[int, Alike]) -> dict[int, float]:
    """Return for each episode how relevant it is: 0 to 1 by words, 0 to 1 by vector, divided by two."""
    words = max((each.words for each in found.values()), default=0.0)
    vector = max((each.vector or 0.0 for each in found.values()), default=0.0)
    return {
        number: 0.5 * (_part(each.words, words) + _part(each.vector or 0.0, vector)) for number, each in found.items()
    }


def _part(value: float, best: float) -> float:
    return max(0.0, value) / best if best > 0 else 0.0


def score(relevant: float, episode: Recalled, now: float) -> float:
    """Return the score of an episode, of which its relevance is by far the most."""
    fresh = math.exp2(-max(0.0, now - episode.at) / HALF_LIFE)
    lift = OUTCOME * standing(episode) + TRUST * episode.episode.trust / 2 + FRESH * fresh
    return relevant * (1.0 + lift)


def standing(episode: Recalled) -> float:
    """Return from -1 to 1 how well it went with an episode: did it work, and did it help when it was recalled?"""
    known = {True: 0.5, False: -0.5, None: 0.0}[episode.episode.worked]
    return known + 0.5 * (wilson(episode.helped, episode.harmed) - wilson(episode.harmed, episode.helped))


def wilson(good: int, bad: int) -> float:
    """Return the lower bound of the share of `good`: 0 where nothing is known."""
    n = good + bad
    if n == 0:
        return 0.0
    share, z2 = good / n, Z * Z
    middle, spread = share + z2 / (2 * n), Z * math.sqrt((share * (1 - share) + z2 / (4 * n)) / n)
    return (middle - spread) / (1 + z2 / n)


def order(found: Iterable[Recalled]) -> list[Recalled]:
    """Return episodes by score, the newer first where that is the same."""
    return sorted(found, key=lambda each: (-each.score, -each.at, each.id))
