"""The index as a file: written whole or not at all, and loaded only if it is what was written.

The file gets a name of its own each time. It is complete on the disk before the row that names it is committed, and the
one before it goes only after that; so whenever a process ends, the row names a whole file. What the row does not
name is deleted at the next opening. A file that does not match its row is not loaded: hnswlib would believe it.
"""

import hashlib
import os
import sqlite3
from pathlib import Path

import msgspec

from ..errors import DiskFull, StoreError
from ..folder import sync_folder
from .index import VectorIndex


class Snapshot(msgspec.Struct, frozen=True):
    """What the row says of the file."""

    generation: int
    embedder: str
    bytes: int
    sha256: str


def path_of(database: Path, generation: int) -> Path:
    """Return where a snapshot of this generation lies."""
    return database.with_name(f"{database.stem}.{generation}.index")


def find(conn: sqlite3.Connection) -> Snapshot | None:
    """Return the snapshot that counts."""
    found = conn.execute("SELECT generation, embedder, bytes, sha256 FROM snapshot").fetchone()
    return Snapshot(*found) if found else None


def put(conn: sqlite3.Connection, snapshot: Snapshot | None) -> None:
    """Let this one count, or none."""
    conn.execute("DELETE FROM snapshot")
    if snapshot is not None:
        conn.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?)", msgspec.structs.astuple(snapshot))


def write(index: VectorIndex, database: Path, *, generation: int, embedder: str) -> Snapshot:
    """Write the index and return what its row must say; on return it is on the disk, under its name.

    Raises :class:`DiskFull` if the file is not as long as it must be, and OSError.
    """
    path = path_of(database, generation)
    draft = path.with_suffix(".part")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        expected = index.save(draft)
        if (written := draft.stat().st_size) != expected:
            raise DiskFull(f"{path} has no room: {written} of {expected} bytes were written; free some", path=str(path))
        _sync(draft)
        digest = _digest(draft)
        draft.rename(path)
    except RuntimeError as error:  # hnswlib's
        raise StoreError(f"{path} could not be written: {error}", path=str(path)) from error
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return Snapshot(generation, embedder, expected, digest)


def read(snapshot: Snapshot, database: Path, *, dimensions: int, count: int) -> VectorIndex | None:
    """Return the index of a snapshot; None if its file is not what was written."""
    path = path_of(database, snapshot.generation)
    try:
        if path.stat().st_size != snapshot.bytes or _digest(path) != snapshot.sha256:
            return None
        return VectorIndex.load(path, dimensions, count=count)
    except (OSError, RuntimeError):
        return None


def clear(database: Path, *, but: int | None) -> list[Path]:
    """Delete the files of all snapshots except one, and drafts; return which."""
    kept = None if but is None else path_of(database, but)
    found = [*database.parent.glob(f"{database.stem}.*.index"), *database.parent.glob(f"{database.stem}.*.part")]
    gone = [path for path in found if path != kept]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Return when a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
