"""Ranking: a total order, in which likeness comes first and what became of an episode moves what is nearly equal."""

import math
import random
from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from callboard.store.episodes import Episode, Recalled, ranking
from callboard.store.episodes.ranking import Alike

_COUNTS = st.integers(0, 10**12)
_SCORES = st.floats(-10, 10)


def recalled(
    *, worked: bool | None = None, helped: int = 0, harmed: int = 0, trust: int = 1, at: float = 0.0,
    score: float = 0.0, id: str = "x", # noqa: A002 - the field's own name
) -> Recalled:  # fmt: skip
    episode = Episode(situation="x", worked=worked, trust=trust)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return Recalled(
        id=id, episode=episode, score=score, likeness=None, at=at, sightings=1, returned=0, used=0, helped=helped,
        harmed=harmed,
    )  # fmt: skip


@given(_COUNTS, _COUNTS)
def test_the_lower_bound_of_a_share_lies_between_nothing_and_the_share(good: int, bad: int) -> None:
    bound = ranking.wilson(good, bad)
    assert 0.0 <= bound <= 1.0
    assert bound <= good / max(1, good + bad) + 1e-9


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_one_more_success_never_lowers_the_bound(good: int, bad: int) -> None:
    assert ranking.wilson(good + 1, bad) >= ranking.wilson(good, bad) - 1e-12
    assert ranking.wilson(good, bad + 1) <= ranking.wilson(good, bad) + 1e-12


@given(
    st.lists(st.tuples(_SCORES, st.floats(0, 1e10), st.text(max_size=3)), unique_by=lambda each: each[2]), st.integers()
)
def test_the_order_is_total_and_does_not_depend_on_where_it_began(
    rows: list[tuple[float, float, str]], seed: int
) -> None:
    found = [recalled(score=score, at=at, id=name) for score, at, name in rows]
    mixed = found.copy()
    random.Random(seed).shuffle(mixed)  # noqa: S311 - any order
    ordered = ranking.order(found)
    assert ordered == ranking.order(mixed) == ranking.order(ordered)
    assert all(a.score >= b.score for a, b in pairwise(ordered))


@given(
    st.dictionaries(
        st.integers(0, 50),
        st.builds(
            Alike, words=st.floats(0, 1e6), vector=st.none() | st.floats(-1.01, 1.01), length=st.integers(0, 10**6)
        ),
    )
)
def test_relevance_is_finite_and_grows_with_each_likeness(found: dict[int, Alike]) -> None:
    relevant = ranking.relevance(found)
    assert relevant.keys() == found.keys()
    assert all(0.0 <= each < 10 and math.isfinite(each) for each in relevant.values())
    for number, each in found.items():
        if each.vector is not None and 0 <= each.vector <= 0.9:
            more = found | {number: msgspec.structs.replace(each, vector=each.vector + 0.1)}
            assert ranking.relevance(more)[number] >= relevant[number]


def score(**fields: object) -> float:
    return ranking.score(1.0, recalled(**fields), 1e9)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # each test names its own


def test_outcome_comes_before_trust_and_trust_before_age() -> None:
    assert score(worked=True) > score() > score(worked=False)
    assert score(helped=9) > score(helped=1) > score() > score(harmed=1) > score(harmed=9)
    assert score(trust=2) > score(trust=1) > score(trust=0)
    assert score(at=1e9) > score(at=1e8)
    assert score(worked=True, trust=0) > score(trust=2)
    assert score(trust=2, at=0) > score(trust=1, at=1e9)
    assert score(at=2e9) == score(at=1e9), "a clock that was wrong makes nothing newer than new"


@given(
    st.sampled_from([True, False, None]),
    _COUNTS,
    _COUNTS,
    st.sampled_from([0, 1, 2]),
    st.floats(0, 1e10),
    st.floats(0, 5),
)
def test_all_of_it_together_moves_an_episode_by_no_more_than_a_quarter(
    worked: bool | None, helped: int, harmed: int, trust: int, at: float, relevant: float
) -> None:
    each = recalled(worked=worked, helped=helped, harmed=harmed, trust=trust, at=at)
    assert abs(ranking.score(relevant, each, 1e9) - relevant) <= 0.25
