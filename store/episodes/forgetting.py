"""Forgetting: the rows of a person, their words and vectors, and what SQLite and the index would keep of them.

Deleting a row leaves its bytes in free pages, in the word index until it is merged, in the log until it is written
back, and its vector in the graph and its snapshot. So free pages are overwritten, the word index is merged, the file
is packed, the log is emptied, the snapshot goes at once, and the graph is built anew.
"""

import sqlite3
from typing import TYPE_CHECKING

import msgspec

from ..errors import InvalidEpisode
from . import table

if TYPE_CHECKING:
    from ..database import Database
    from .indexer import Indexer


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom or what to forget: one of these."""

    about: str = ""
    """All that concerns them by the field `about`, or names them in a text, a label or the source, letter by letter."""
    id: str = ""
    """One episode."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What has gone, and each place that was looked at."""

    episodes: list[str]
    """Ids."""
    places: list[str]


async def forget(db: "Database", indexer: "Indexer", person: Person) -> Forgotten:
    """Delete episodes so that nothing of them is left in this memory's files."""
    if bool(person.about.strip()) == bool(person.id):
        raise InvalidEpisode("forgetting needs whom it is about, or the id of one episode")
    gone = await db.write(lambda conn: _delete(conn, person))
    files = await indexer.forget([number for number, _ in gone])
    await db.read(_scrub)
    return Forgotten(
        episodes=[name for _, name in gone],
        places=[
            f"{db.path.name}: {len(gone)} episodes, their words, vectors, labels, links and recalls",
            f"{db.path.name}: free pages overwritten, word index merged, log emptied",
            f"index in memory: {len(gone)} vectors taken out, built anew",
            f"index on disk: {', '.join(files) or 'there was none'}",
            "vectors of recent queries",
        ],
    )


def _delete(conn: sqlite3.Connection, person: Person) -> list[tuple[int, str]]:
    conn.execute("PRAGMA secure_delete = ON")
    rows: list[tuple[int, str]] = conn.execute(*_where(person)).fetchall()
    table.delete(conn, [number for number, _ in rows])
    conn.execute("INSERT INTO words (words) VALUES ('optimize')")
    return rows


def _where(person: Person) -> tuple[str, tuple[str, ...]]:
    if person.id:
        return "SELECT number, id FROM episodes WHERE id = ?", (person.id,)
    texts = ("about", "source", "situation", "cause", "action", "outcome", "why", "labels", "evidence")
    named = " OR ".join(f"instr({text}, ?1) > 0" for text in texts)
    return f"SELECT number, id FROM episodes WHERE {named} ORDER BY number", (person.about,)  # noqa: S608 - our own columns


def _scrub(conn: sqlite3.Connection) -> None:
    """Pack the file and empty the log: outside a transaction, which a read is."""
    conn.execute("PRAGMA query_only = 0")
    conn.execute("VACUUM")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
