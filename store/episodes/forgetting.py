"""Forgetting: the rows of a person, their words and vectors, and what SQLite and the index would keep of them.

Deleting a row leaves its bytes in free pages, in the word index until it is merged, in the log until it is written
back, and its vector in the graph and its snapshot. So free pages are overwritten, the word index is merged, the file
is packed, the log is emptied, the snapshot goes at once, and the graph is built anew.
"""

import sqlite3
from typing import TYPE_CHECKING

import msgspec

from ..erasing import scrub
from ..errors import InvalidEpisode
from . import snapshot, table
from .episode import checked_message
from .person import Forgotten, Person

if TYPE_CHECKING:
    from ..database import Database
    from .indexer import Indexer


async def forget(db: "Database", indexer: "Indexer", person: Person) -> Forgotten:
    """Delete episodes so that nothing of them is left in this memory's files."""
    checked_person(person)
    with indexer.deleting():
        gone, sayings = await db.write(lambda conn: _delete(conn, person))
        files = await indexer.forget([number for number, _ in gone])
    emptied = await db.read(scrub)
    return Forgotten(
        episodes=[name for _, name in gone],
        places=[
            f"{db.path.name}: {len(gone)} episodes, their words, vectors, labels, links and recalls",
            f"{db.path.name}: what was said in {sayings} outcomes",
            f"{db.path.name}: free pages overwritten, word index merged, {emptied}",
            f"index in memory: {len(gone)} vectors taken out, built anew",
            f"index on disk: {', '.join(files) or 'there was none'}",
            "vectors of recent queries",
        ],
    )


def checked_person(person: Person) -> Person:
    """Return whom to forget if it says one of both; raise InvalidEpisode."""
    if bool(person.about.strip()) == bool(person.id):
        raise InvalidEpisode("forgetting needs whom it is about, or the id of one episode")
    checked_message(person.about or person.id)
    return person


def count(conn: sqlite3.Connection, person: Person) -> int:
    """Return how many episodes would be forgotten."""
    return len(conn.execute(*_where(person)).fetchall())


def _delete(conn: sqlite3.Connection, person: Person) -> tuple[list[tuple[int, str]], int]:
    conn.execute("PRAGMA secure_delete = ON")
    rows: list[tuple[int, str]] = conn.execute(*_where(person)).fetchall()
    sayings = _unsay(conn, person, [number for number, _ in rows])
    table.delete(conn, [number for number, _ in rows])
    # With the rows: if the process dies before the file has gone, the next opening deletes it.
    snapshot.put(conn, None)
    conn.execute("INSERT INTO words (words) VALUES ('optimize')")
    return rows, sayings


def _unsay(conn: sqlite3.Connection, person: Person, numbers: list[int]) -> int:
    """Take away what was said of how these turned out, and by whom; return how often."""
    count = 0
    for number in numbers:
        sql = "UPDATE outcomes SET why = '' WHERE why != '' AND message IN (SELECT message FROM made WHERE episode = ?)"
        count += conn.execute(sql, (number,)).rowcount
    if person.about:
        sql = "DELETE FROM outcomes WHERE instr(why, ?1) > 0 OR instr(said_by, ?1) > 0 OR instr(message, ?1) > 0"
        count += conn.execute(sql, (person.about,)).rowcount
        conn.execute("DELETE FROM made WHERE instr(message, ?) > 0", (person.about,))
        conn.execute("DELETE FROM recalls WHERE instr(message, ?) > 0", (person.about,))
    return count


def _where(person: Person) -> tuple[str, tuple[str, ...]]:
    if person.id:
        return "SELECT number, id FROM episodes WHERE id = ?", (person.id,)
    texts = ("about", "source", "situation", "cause", "action", "outcome", "why")
    named = " OR ".join(f"instr({text}, ?1) > 0" for text in texts)
    # Evidence is JSON, in which a quote of a name is two signs; labels are too, and have a table beside.
    sql = (
        f"SELECT number, id FROM episodes WHERE {named} "  # noqa: S608 - our own columns
        "OR number IN (SELECT episode FROM labels WHERE instr(name, ?1) > 0 OR instr(value, ?1) > 0) "
        "OR instr(evidence, ?2) > 0 ORDER BY number"
    )
    return sql, (person.about, msgspec.json.encode(person.about).decode()[1:-1])
