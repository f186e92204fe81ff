"""Counting what a file knows."""

import sqlite3
from typing import Any

from . import vectors
from .stats import Stats


def count(conn: sqlite3.Connection) -> Stats:
    """Return what the file knows."""
    sql = (
        "SELECT count(*), total(worked = 1), total(worked = 0), total(trust = 0), total(returned), total(used), "
        "total(helped), total(harmed) FROM episodes"
    )
    names = ("episodes", "worked", "failed", "untrusted", "returned", "used", "helped", "harmed")
    found: dict[str, Any] = dict(zip(names, map(int, conn.execute(sql).fetchone()), strict=True))
    found["outcomes"] = conn.execute("SELECT count(*) FROM outcomes").fetchone()[0]
    pages, size = conn.execute("PRAGMA page_count").fetchone()[0], conn.execute("PRAGMA page_size").fetchone()[0]
    return Stats(**found, bytes=pages * size, embedder=vectors.embedder_of(conn), waiting=vectors.pending_count(conn))
