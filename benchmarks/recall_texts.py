"""Texts to remember, made up from a seed: words as frequent as in English, episodes as long as a turn of a talk."""

import json
import random
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from callboard.store.episodes import Episode

SEED: Final = 20_26
WORDS_MIDDLE, WORDS_MOST, SPREAD = 20.0, 200, 0.7
"""Words of a situation: the median, the most, and the width of the logarithm."""
FROM_EPISODE, AT_RANDOM = 5, 5
"""Words of a query that an episode has, and others."""


class Vocabulary(NamedTuple):
    """Words by how frequent they are, and the sums of their weights."""

    words: list[str]
    sums: list[float]


@cache
def vocabulary() -> Vocabulary:
    """Return what begins words in the default embedder's vocabulary, the frequent first, weighted by 1 / rank."""
    spec = find_spec("wordllama")
    assert spec is not None  # noqa: S101 - it is installed with us
    assert spec.origin is not None  # noqa: S101 - the same
    file = Path(spec.origin).parent / "tokenizers" / "l2_supercat_tokenizer_config.json"
    tokens = json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
    begun = [token[1:] for token in sorted(tokens, key=tokens.__getitem__) if token.startswith("\u2581")]
    words = list(dict.fromkeys(word.lower() for word in begun if len(word) > 2 and word.isascii() and word.isalpha()))
    return Vocabulary(words, list(accumulate(1.0 / rank for rank in range(1, len(words) + 1))))


def some_words(chance: random.Random, count: int) -> list[str]:
    """Return words at random."""
    found = vocabulary()
    return chance.choices(found.words, cum_weights=found.sums, k=count)


def episode(number: int) -> Episode:
    """Return one of as many episodes as are wanted, always the same."""
    chance = random.Random(SEED + number)  # noqa: S311 - repeatable, no secret
    length = min(WORDS_MOST, max(3, round(WORDS_MIDDLE * chance.lognormvariate(0.0, SPREAD))))
    return Episode(
        situation=" ".join(some_words(chance, length)), action=" ".join(some_words(chance, 6)),
        worked=chance.choice((True, True, False, None)), about=f"customer-{number % 500}",
    )  # fmt: skip


def query(number: int, episodes: int) -> str:
    """Return a question: some words of one of the episodes, among others."""
    chance = random.Random(-1 - number)  # noqa: S311 - repeatable, no secret
    known = episode(chance.randrange(episodes)).situation.split()
    words = [*chance.sample(known, min(FROM_EPISODE, len(known))), *some_words(chance, AT_RANDOM)]
    chance.shuffle(words)
    return " ".join(words)
