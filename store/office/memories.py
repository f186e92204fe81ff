"""How often each actor's memory was changed by hand: an answer that rests on what was forgotten is not given again."""

import sqlite3


def changes_of(conn: sqlite3.Connection, actor: str) -> int:
    """Return how often it was changed."""
    row = conn.execute("SELECT changes FROM memories WHERE actor = ?", (actor,)).fetchone()
    return int(row[0]) if row else 0


def changed(conn: sqlite3.Connection, actor: str) -> int:
    """Note that it was changed once more; return how often by now."""
    sql = (
        "INSERT INTO memories (actor, changes) VALUES (?, 1) "
        "ON CONFLICT (actor) DO UPDATE SET changes = changes + 1 RETURNING changes"
    )
    [(changes,)] = conn.execute(sql, (actor,)).fetchall()
    return int(changes)
