"""Forgetting somebody: answers in the cache, and what the ledger has of them, scrubbed from the file."""

import json
import sqlite3
from typing import Final

import msgspec

from ..database import Database
from ..erasing import scrub
from ..errors import InvalidLimit
from ..mentions import mentions

_IDS: Final = ("message", "tree", "tenant")


class Forgot(msgspec.Struct, frozen=True, kw_only=True):
    """What was forgotten."""

    bodies: int
    """Answers in the cache."""
    answers: int
    """Wrong answers in the ledger; that there was one is still known."""
    ids: int
    """Rows of the ledger with ids that mention them."""
    left: dict[str, int]
    """Rows by table that still mention them: names of windows and actors, say."""
    log: str
    """What became of the bytes."""


async def forget(db: Database, about: str, actor: str) -> Forgot:
    """Delete what mentions `about`, letter by letter or as JSON writes it; of all actors if none is named."""
    if not about.strip():
        raise InvalidLimit("forgetting needs whom it is about")
    bodies, answers, ids = await db.write(lambda conn: _delete(conn, about, actor))
    log = await db.read(scrub)
    left = await db.read(lambda conn: mentions(conn, about))
    return Forgot(bodies=bodies, answers=answers, ids=ids, left=left, log=log)


def _delete(conn: sqlite3.Connection, about: str, actor: str) -> tuple[int, int, int]:
    conn.execute("PRAGMA secure_delete = ON")
    whose = "AND (?1 = '' OR actor = ?1)"
    bodies = conn.execute(f"DELETE FROM cache WHERE {_in('body')} {whose}", _values(about, actor)).rowcount  # noqa: S608 - ours
    sql = f"UPDATE ledger SET raw = '' WHERE {_in('raw')} {whose}"  # noqa: S608 - ours
    answers = conn.execute(sql, _values(about, actor)).rowcount
    cleared = ", ".join(f"{name} = CASE WHEN instr({name}, ?2) > 0 THEN '' ELSE {name} END" for name in _IDS)
    named = " OR ".join(f"instr({name}, ?2) > 0" for name in ("id", *_IDS))
    sql = (
        "UPDATE ledger SET id = CASE WHEN instr(id, ?2) > 0 THEN 'forgotten/' || number ELSE id END, "  # noqa: S608 - ours
        f"{cleared} WHERE ({named}) {whose}"
    )
    ids = conn.execute(sql, (actor, about)).rowcount
    return bodies, answers, ids


def _in(column: str) -> str:
    """Return the condition that a column has the text, as it is or as JSON may write it."""
    held = (f"instr(CAST({column} AS BLOB), ?{number}) > 0" for number in (2, 3, 4))
    return f"({' OR '.join(held)})"


def _values(about: str, actor: str) -> tuple[str, bytes, bytes, bytes]:
    return actor, about.encode(), json.dumps(about, ensure_ascii=False)[1:-1].encode(), json.dumps(about)[1:-1].encode()
