"""How what was found is put in order: likeness first, then what became of it.

The likeness is a sum: BM25 divided by the best of its list, three times the square of the cosine, and a little for the
length of the text. The cosine is taken as it is, not divided by the best: so a paraphrase outweighs words in common and
a vague likeness does not. Short texts that only name somebody have a high BM25; the logarithm of the length takes that
back. All three were chosen on three long conversations (LoCoMo) and tried on two others; docs/memory.md has the
figures, also those of what was measured worse: adding ranks, dividing the cosine by the best, z-scores.

Outcome, trust and age then move what is nearly equal: the difference between two ranks is about 0.1 to 0.4.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .episode import Recalled

VECTOR: Final = 3.0
LENGTH: Final = 0.4
LENGTH_WORDS_ONLY: Final = 0.1
"""Where no vectors are compared."""
LENGTH_MOST: Final = 64
"""Words; more count as so many."""
OUTCOME: Final = 0.10
TRUST: Final = 0.04
FRESH: Final = 0.01
HALF_LIFE: Final = 90 * 86_400.0
"""Seconds in which the weight of being new halves."""
BESIDE: Final = 0.6
"""A warning is given if its score is at least this part of the best that was found."""
Z: Final = 1.645
"""One-sided 95 % (Wilson 1927)."""


class Alike(msgspec.Struct, frozen=True):
    """How alike an episode is to a query."""

    words: float = 0.0
    """BM25, higher is better; 0.0: no word in common."""
    vector: float | None = None
    """Cosine; None: not compared."""
    length: int = 1
    """Words of its situation."""


def relevance(found: Mapping[int, Alike]) -> dict[int, float]:
    """Return for each episode how relevant it is; comparable within one recall only."""
    best = max((each.words for each in found.values()), default=0.0)
    length = LENGTH_WORDS_ONLY if all(each.vector is None for each in found.values()) else LENGTH
    return {number: _relevant(each, best, length) for number, each in found.items()}


def _relevant(each: Alike, best: float, length: float) -> float:
    words = max(0.0, each.words) / best if best > 0 else 0.0
    return words + VECTOR * max(0.0, each.vector or 0.0) ** 2 + length * math.log(min(max(each.length, 1), LENGTH_MOST))


def score(relevant: float, episode: Recalled, now: float) -> float:
    """Return the score of an episode, of which its relevance is by far the most."""
    fresh = math.exp2(-max(0.0, now - episode.at) / HALF_LIFE)
    return relevant + OUTCOME * standing(episode) + TRUST * episode.episode.trust / 2 + FRESH * fresh


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
    return min(1.0, max(0.0, (middle - spread) / (1 + z2 / n)))  # it may round to less than 0


def order(found: Iterable[Recalled]) -> list[Recalled]:
    """Return episodes by score, the newer first where that is the same."""
    return sorted(found, key=lambda each: (-each.score, -each.at, each.id))
