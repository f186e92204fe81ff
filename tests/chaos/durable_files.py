"""What the files of a fleet hold that does not run: those of its actors, and the quarantine."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from callboard.store import DeadLetter

from .durable_daemon import FLEET
from .durable_ledger import Dead, File


@contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        yield conn


def read_file(state: Path, actor: str) -> File:
    """Return what the file of an actor holds; while its owner lives, as of this moment."""
    with _reading(state / FLEET / "actors" / f"{actor}.db") as conn:
        conn.execute("BEGIN")
        inbox = frozenset(row[0] for row in conn.execute("SELECT task FROM inbox"))
        rows = conn.execute("SELECT key, value FROM memory").fetchall()
        leaving = conn.execute("SELECT verb, id FROM outbox ORDER BY number").fetchall()
        unfinished = conn.execute("SELECT task FROM steps UNION SELECT task FROM tries").fetchall()
    memory = {key: msgspec.msgpack.decode(value) for key, value in rows}
    return File(inbox, memory, leaving, frozenset(row[0] for row in unfinished))


def read_dead(state: Path) -> list[Dead]:
    """Return what is in the quarantine."""
    with _reading(state / FLEET / "daemon.db") as conn:
        rows = conn.execute("SELECT letter FROM dead").fetchall()
    letters = [msgspec.msgpack.decode(row[0], type=DeadLetter) for row in rows]
    return [Dead(each.actor, each.id, each.reason, each.number) for each in letters]


def read_events(state: Path, kind: str) -> list[str]:
    """Return what was said of the events of a kind."""
    with _reading(state / FLEET / "daemon.db") as conn:
        return [row[0] for row in conn.execute("SELECT text FROM event WHERE kind = ?", (kind,))]
