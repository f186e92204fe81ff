"""Where a database mentions a text, byte for byte: what tells a person what forgetting did not reach."""

import sqlite3
from collections.abc import Collection


def mentions(conn: sqlite3.Connection, text: str, *, but: Collection[str] = ()) -> dict[str, int]:
    """Return for each table, except those of `but`, how many of its rows have `text` in any column."""
    names = [name for (name,) in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    found = {name: _count(conn, name, text.encode()) for name in names if name not in but}
    return {name: count for name, count in found.items() if count}


def _count(conn: sqlite3.Connection, table: str, text: bytes) -> int:
    columns = [name for (name,) in conn.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    held = " OR ".join(f'instr(CAST("{column}" AS BLOB), ?1) > 0' for column in columns)
    return int(conn.execute(f'SELECT count(*) FROM "{table}" WHERE {held}', (text,)).fetchone()[0])  # noqa: S608 - names of the schema's own
