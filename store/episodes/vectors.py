"""The rows of vectors: which episodes have one, which wait for one, which are nearly the same."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from callboard.errors import CallboardError

from ..errors import BadVector, EmbedderMismatch
from .index import check

if TYPE_CHECKING:
    from .embedder import Embedder, Vectors

NEAR: Final = 0.95
"""Cosine from which on two episodes are linked as nearly the same (mem0 merges entities at this value)."""


class Pending(NamedTuple):
    """An episode that waits for its vector."""

    number: int
    text: str


def embedder_of(conn: sqlite3.Connection) -> str:
    """Return the id of the embedder whose vectors count; empty while there is none."""
    return str(conn.execute("SELECT id FROM embedder").fetchone()[0])


async def made_by(embedder: "Embedder", texts: Sequence[str]) -> "Vectors":
    """Return one row for each text, of unit length or all zeros; raises BadVector for anything else."""
    import numpy as np

    try:
        made: Any = np.asarray(await embedder.embed(texts))
    except CallboardError:
        raise
    except Exception as error:  # a model is code of others: its bug costs likeness, not the memory
        raise BadVector(f"{embedder.id} failed: {error!r}") from error
    if made.shape != (len(texts), embedder.dimensions) or made.dtype.kind != "f":
        raise BadVector(
            f"{embedder.id} gave {made.dtype} of shape {made.shape} for {len(texts)} texts: "
            f"each is to have {embedder.dimensions} numbers"
        )
    rows: Vectors = np.ascontiguousarray(made, np.float32)
    check(rows[rows.any(axis=1)], embedder.dimensions)
    return rows


def width(conn: sqlite3.Connection, embedder: str) -> int:
    """Return how many numbers the stored vectors of an embedder have; 0 if there is none."""
    sql = "SELECT length(vector) / 4 FROM vectors WHERE embedder = ? AND length(vector) > 0 LIMIT 1"
    found = conn.execute(sql, (embedder,)).fetchone()
    return int(found[0]) if found else 0


def pending(conn: sqlite3.Connection, *, above: int, limit: int) -> list[Pending]:
    """Return episodes that wait for their vector, by number from `above` on."""
    sql = (
        "SELECT number, situation FROM pending JOIN episodes ON number = episode WHERE episode > ? "
        "ORDER BY episode LIMIT ?"
    )
    return [Pending(*each) for each in conn.execute(sql, (above, limit))]


def pending_count(conn: sqlite3.Connection) -> int:
    """Return how many wait."""
    return int(conn.execute("SELECT count(*) FROM pending").fetchone()[0])


def lacking(conn: sqlite3.Connection, embedder: str, *, above: int, limit: int) -> list[Pending]:
    """Return episodes without a vector of an embedder, by number from `above` on."""
    sql = (
        "SELECT number, situation FROM episodes LEFT JOIN vectors ON vectors.embedder = ? AND vectors.episode = number "
        "WHERE number > ? AND vectors.episode IS NULL ORDER BY number LIMIT ?"
    )
    return [Pending(*each) for each in conn.execute(sql, (embedder, above, limit))]


def put(conn: sqlite3.Connection, embedder: str, rows: Iterable[tuple[int, bytes]]) -> set[int]:
    """Write vectors of episodes that are still there; return which these are."""
    kept: set[int] = set()
    for number, data in rows:
        sql = "INSERT OR REPLACE INTO vectors SELECT ?, number, ? FROM episodes WHERE number = ?"
        if conn.execute(sql, (embedder, data, number)).rowcount > 0:
            kept.add(number)
    return kept


def settle(conn: sqlite3.Connection, embedder: str, rows: Sequence[tuple[int, bytes]]) -> set[int]:
    """Write the vectors of episodes that waited; the first ones say which embedder counts, others are refused."""
    conn.execute("UPDATE embedder SET id = ? WHERE id = ''", (embedder,))
    if (stored := embedder_of(conn)) != embedder:
        raise EmbedderMismatch(f"the stored vectors are of {stored}: those of {embedder} cannot join them")
    conn.executemany("DELETE FROM pending WHERE episode = ?", [(number,) for number, _ in rows])
    return put(conn, embedder, rows)


def switch(conn: sqlite3.Connection, embedder: str) -> bool:
    """Let the vectors of another embedder count, and drop all others; False, and no change, if one is still missing."""
    if lacking(conn, embedder, above=0, limit=1):
        return False
    conn.execute("UPDATE embedder SET id = ?", (embedder,))
    conn.execute("DELETE FROM vectors WHERE embedder != ?", (embedder,))
    conn.execute("DELETE FROM pending")
    conn.execute("DELETE FROM snapshot")
    return True


def link(conn: sqlite3.Connection, pairs: Iterable[tuple[int, int, float]]) -> None:
    """Link episodes that are nearly the same, the newer to the older."""
    sql = (
        "INSERT OR REPLACE INTO links (episode, other, kind, likeness) SELECT ?, ?, 'near', ? "
        "WHERE (SELECT count(*) FROM episodes WHERE number IN (?, ?)) = 2"
    )
    conn.executemany(sql, [(new, old, likeness, new, old) for new, old, likeness in pairs])


def numbers(conn: sqlite3.Connection, embedder: str) -> set[int]:
    """Return which episodes have a vector that can be compared."""
    sql = "SELECT episode FROM vectors WHERE embedder = ? AND length(vector) > 0"
    return {int(number) for (number,) in conn.execute(sql, (embedder,))}


def load(conn: sqlite3.Connection, embedder: str, wanted: Sequence[int]) -> list[tuple[int, bytes]]:
    """Return the vectors of these episodes, as bytes."""
    marks = ", ".join("?" * len(wanted))
    sql = f"SELECT episode, vector FROM vectors WHERE embedder = ? AND length(vector) > 0 AND episode IN ({marks})"  # noqa: S608 - marks only
    return conn.execute(sql, (embedder, *wanted)).fetchall()


def packed(vectors: "Vectors") -> list[bytes]:
    """Return rows as bytes; a row of zeros, which has no direction, as none."""
    return [row.tobytes() if row.any() else b"" for row in vectors]


def unpacked(rows: Sequence[bytes]) -> "Vectors":
    """Return bytes as rows."""
    import numpy as np

    made: Any = np.frombuffer(b"".join(rows), dtype=np.float32)
    return made.reshape(len(rows), -1)  # type: ignore[no-any-return]  # untyped


def alike(numbers: Sequence[int], vectors: "Vectors") -> list[tuple[int, int, float]]:
    """Return the pairs among new vectors that are nearly the same, the newer first."""
    near = vectors @ vectors.T
    pairs = zip(*(near >= NEAR).nonzero(), strict=True)
    return [(numbers[new], numbers[old], float(near[new, old])) for new, old in pairs if numbers[new] > numbers[old]]
