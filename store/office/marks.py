"""What is said of calls after they are in the ledger."""

import sqlite3


def outcome(conn: sqlite3.Connection, message: str, *, good: bool) -> int:
    """Note how a message turned out, on all calls for it, and return how many there are. The last word counts."""
    sql = "UPDATE ledger SET good = ? WHERE message = ? AND message != ''"
    return conn.execute(sql, (good, message)).rowcount


def evict(conn: sqlite3.Connection, message: str) -> list[bytes]:
    """Delete the answers that calls for a message made or were given, mark the calls, and return the keys."""
    where = "message = ? AND message != '' AND key != x''"
    found = conn.execute(f"SELECT DISTINCT key FROM ledger WHERE {where} ORDER BY number", (message,))  # noqa: S608 - ours
    keys = [bytes(key) for (key,) in found]
    conn.executemany("DELETE FROM cache WHERE key = ?", [(key,) for key in keys])
    conn.execute(f"UPDATE ledger SET evicted = 1 WHERE {where}", (message,))  # noqa: S608 - ours
    return keys
