"""Whose a file is: the highest epoch that has owned it is a row in it."""

import sqlite3
from pathlib import Path

from .errors import Fenced


def claim(conn: sqlite3.Connection, path: Path, *, actor: str, epoch: int) -> None:
    """Let `epoch` own the file; raise :class:`Fenced` if a higher one has."""
    [(stored,)] = conn.execute("SELECT epoch FROM owner").fetchall()
    if epoch < stored:
        raise Fenced(
            f"{path} has been owned by epoch {stored} of {actor!r}: epoch {epoch} is over and must end",
            path=str(path), epoch=epoch, stored=int(stored),
        )  # fmt: skip
    conn.execute("UPDATE owner SET epoch = ?", (epoch,))
