"""What a recall looks at: candidates by words and by vectors, filtered in SQL. On the database's thread."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from . import ranking, table
from .episode import Filter, Recalled, Recollection
from .index import VectorIndex
from .ranking import Alike
from .words import match_of

if TYPE_CHECKING:
    from .embedder import Vectors

CANDIDATES: Final = 64
"""Taken from each list before they are ranked."""
FEW: Final = 2000
"""If so few pass a filter, each of them is compared."""
WIDER: Final = 8
"""More are asked of the index where a filter will drop some."""


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
        wanted = self.wanted
        return bool(wanted.where) or wanted.min_trust > 0 or wanted.worked is not None


def most_near(wanted: Filter) -> int:
    """Return how many the index is to be asked for."""
    plain = not wanted.where and wanted.min_trust == 0 and wanted.worked is None
    return CANDIDATES if plain else CANDIDATES * WIDER


def find(conn: sqlite3.Connection, question: Question, index: VectorIndex) -> tuple[Recollection, list[int]]:
    """Return what was found, and the numbers of it."""
    words = _by_words(conn, question)
    near = _by_vector(conn, question, index)
    if question.vector is not None:
        near |= index.likeness(question.vector, [number for number in words if number not in near])
    found = {number: Alike(words.get(number, 0.0), near.get(number)) for number in dict.fromkeys([*words, *near])}
    return _ranked(conn, question, found)


def _by_words(conn: sqlite3.Connection, question: Question) -> dict[int, float]:
    match = match_of(question.text)
    if not match:
        return {}
    passing, values = table.passing(question.wanted, question.now)
    sql = (
        "SELECT words.rowid, -words.rank FROM words JOIN episodes ON number = words.rowid "  # noqa: S608 - our own SQL
        f"WHERE words MATCH ? AND {passing} ORDER BY words.rank LIMIT ?"
    )
    return {int(number): float(rank) for number, rank in conn.execute(sql, (match, *values, CANDIDATES))}


def _by_vector(conn: sqlite3.Connection, question: Question, index: VectorIndex) -> dict[int, float]:
    if question.vector is None:
        return {}
    few = table.numbers_passing(conn, question.wanted, question.now, most=FEW) if question.narrow else None
    if few is not None:
        return _best(index.likeness(question.vector, few))
    near = dict(question.near)
    passing = table.passing_of(conn, list(near), question.wanted, question.now)
    return _best({number: likeness for number, likeness in near.items() if number in passing})


def _best(near: Mapping[int, float]) -> dict[int, float]:
    return dict(sorted(near.items(), key=lambda each: -each[1])[:CANDIDATES])


def _ranked(conn: sqlite3.Connection, question: Question, found: Mapping[int, Alike]) -> tuple[Recollection, list[int]]:
    relevant = ranking.relevance(found)
    rows = table.load(conn, relevant)
    scored = {
        number: msgspec.structs.replace(
            row, score=ranking.score(relevant[number], row, question.now), likeness=found[number].vector
        )
        for number, row in rows.items()
    }
    failed = [each for each in scored.values() if each.episode.worked is False]
    best = max((each.score for each in scored.values()), default=0.0)
    warnings = [each for each in ranking.order(failed) if each.score >= ranking.BESIDE * best][: question.k]
    episodes = ranking.order(each for each in scored.values() if each.episode.worked is not False)[: question.k]
    shown = {each.id for each in [*episodes, *warnings]}
    by: Literal["words", "words and vectors"] = "words" if question.vector is None else "words and vectors"
    numbers = [number for number, each in scored.items() if each.id in shown]
    return Recollection(episodes=episodes, warnings=warnings, by=by), numbers


def named(conn: sqlite3.Connection, id: str) -> tuple[int, Recalled] | None:  # noqa: A002 - the field's own name
    """Return an episode by its id."""
    number = table.number_of(conn, id)
    return None if number is None else (number, table.load(conn, [number])[number])
