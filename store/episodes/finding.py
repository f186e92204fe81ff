"""What a recall looks at: candidates by words and by vectors, filtered in SQL. On the database's thread."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from . import ranking, table
from .episode import Filter, Recalled, Recollection
from .index import VectorIndex
from .ranking import Alike
from .words import any_of, length_of, terms_of

if TYPE_CHECKING:
    from .embedder import Vectors

CANDIDATES: Final = 50
"""Taken from each list before they are ranked."""
FEW: Final = 2000
"""If so few pass a filter, each of them is compared."""
WIDER: Final = 8
"""More are asked of the index where a filter will drop some."""
WIDEST: Final = 4000
"""Asked of the index where of all those nearly none passes."""
RANKED: Final = 12_000
"""Matches for which BM25 is computed, at most: of a query's words the rarest come first (1 µs a match)."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the file."""

    text: str
    k: int
    wanted: Filter
    now: float
    vector: "Vectors | None" = None
    near: Sequence[tuple[int, float]] = ()

    @property
    def narrow(self) -> bool:
        """Whether a filter drops more than what is no longer valid."""
        return is_narrow(self.wanted)

    @property
    def most(self) -> int:
        """How many are taken from each list."""
        return max(CANDIDATES, self.k)


def is_narrow(wanted: Filter) -> bool:
    """Return whether a filter drops more than what is no longer valid."""
    known = wanted.worked is not None or not wanted.failures
    return known or bool(wanted.where) or wanted.min_trust > 0 or wanted.at is not None


def most_near(wanted: Filter, k: int) -> int:
    """Return how many the index is to be asked for."""
    return max(CANDIDATES, k) * (WIDER if is_narrow(wanted) else 1)


def find(conn: sqlite3.Connection, question: Question, index: VectorIndex) -> tuple[Recollection, list[int]]:
    """Return what was found, and the numbers of it."""
    words, near, rows = _candidates(conn, question, index)
    failed = sum(row.episode.worked is False for row in rows.values())
    if (
        question.wanted.worked is not False and failed and len(rows) - failed < question.k
    ):  # failures have taken the room
        wanted = msgspec.structs.replace(question.wanted, failures=False)
        more = _candidates(conn, msgspec.structs.replace(question, wanted=wanted), index)
        words, near, rows = {**more[0], **words}, {**more[1], **near}, {**more[2], **rows}
    found = {
        number: Alike(words.get(number, 0.0), near.get(number), length_of(row.episode.situation))
        for number, row in rows.items()
    }
    return _chosen(question, rows, found)


def _candidates(
    conn: sqlite3.Connection, question: Question, index: VectorIndex
) -> tuple[dict[int, float], dict[int, float], dict[int, Recalled]]:
    """Return the BM25 and the cosine of what has one, and the rows of both."""
    words = _by_words(conn, question)
    near = _by_vector(conn, question, index)
    if question.vector is not None:  # a cosine that is missing would count as 0
        near |= index.likeness(question.vector, [number for number in words if number not in near])
    return words, near, table.load(conn, dict.fromkeys([*words, *near]))


def _by_words(conn: sqlite3.Connection, question: Question) -> dict[int, float]:
    match = any_of(_rare(conn, terms_of(question.text)))
    if not match:
        return {}
    passing, values = table.passing(question.wanted, question.now)
    sql = (
        "SELECT words.rowid, -words.rank FROM words JOIN episodes ON number = words.rowid "  # noqa: S608 - our own SQL
        f"WHERE words MATCH ? AND {passing} ORDER BY words.rank LIMIT ?"
    )
    return {int(number): float(rank) for number, rank in conn.execute(sql, (match, *values, question.most))}


def _rare(conn: sqlite3.Connection, terms: list[str]) -> list[str]:
    """Return the words that a large memory is asked for: the rarest, until they match enough."""
    if int(conn.execute("SELECT coalesce(max(number), 0) FROM episodes").fetchone()[0]) <= RANKED:
        return terms
    sql = "SELECT count(*) FROM words WHERE words MATCH ?"
    matches = {term: int(conn.execute(sql, (any_of([term]),)).fetchone()[0]) for term in terms}
    chosen, total = list[str](), 0
    for term in sorted((term for term in terms if matches[term]), key=matches.__getitem__):
        total += matches[term]
        if chosen and total > RANKED:
            break
        chosen.append(term)
    return chosen


def _by_vector(conn: sqlite3.Connection, question: Question, index: VectorIndex) -> dict[int, float]:
    if question.vector is None:
        return {}
    passing = {} if question.narrow else _passing(conn, question, question.near)
    if not _is_enough(passing, question):
        few = table.numbers_passing(conn, question.wanted, question.now, most=FEW)
        if few is not None:
            return _best(index.likeness(question.vector, few), question.most)
        passing = _passing(conn, question, question.near)
    if not _is_enough(passing, question) and len(question.near) < len(index):
        [wider] = index.search(question.vector[None, :], WIDEST)
        passing = _passing(conn, question, wider)
    return _best(passing, question.most)


def _passing(conn: sqlite3.Connection, question: Question, near: Sequence[tuple[int, float]]) -> dict[int, float]:
    passing = table.passing_of(conn, [number for number, _ in near], question.wanted, question.now)
    return {number: likeness for number, likeness in near if number in passing}


def _is_enough(passing: Mapping[int, float], question: Question) -> bool:
    """Return whether so many pass that those which do not can have hidden little."""
    return len(passing) >= min(question.most, len(question.near)) / 2 and bool(passing)


def _best(near: Mapping[int, float], most: int) -> dict[int, float]:
    return dict(sorted(near.items(), key=lambda each: -each[1])[:most])


def _chosen(
    question: Question, rows: Mapping[int, Recalled], found: Mapping[int, Alike]
) -> tuple[Recollection, list[int]]:
    scored = _scored(question, rows, found)
    best = max((each.score for each in scored.values()), default=0.0)
    failed = [each for each in scored.values() if each.episode.worked is False]
    warnings = [each for each in ranking.order(failed) if each.score >= ranking.BESIDE * best][: question.k]
    episodes = ranking.order(each for each in scored.values() if each.episode.worked is not False)[: question.k]
    shown = {each.id for each in [*episodes, *warnings]}
    by: Literal["words", "words and vectors"] = "words" if question.vector is None else "words and vectors"
    numbers = [number for number, each in scored.items() if each.id in shown]
    return Recollection(episodes=episodes, warnings=warnings, by=by), numbers


def _scored(question: Question, rows: Mapping[int, Recalled], found: Mapping[int, Alike]) -> dict[int, Recalled]:
    relevant = ranking.relevance(found)
    scores = {number: ranking.score(relevant[number], row, question.now) for number, row in rows.items()}
    return {
        number: msgspec.structs.replace(row, score=scores[number], likeness=found[number].vector)
        for number, row in rows.items()
    }


def named(conn: sqlite3.Connection, name: str) -> tuple[int, Recalled] | None:
    """Return an episode by its id."""
    number = table.number_of(conn, name)
    return None if number is None else (number, table.load(conn, [number])[number])
