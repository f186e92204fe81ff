"""Numbered changes of a file's schema, each applied once, in order, in a transaction of its own.

A file says what it is in two numbers of its header: ``application_id`` (which kind) and ``user_version`` (the
last change it has seen). The changes are ``migrations/<kind>-<number>.sql`` beside this module.
"""

import importlib.resources
import re
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from .errors import DatabaseNewer, InvalidLimit, WrongDatabase

_FILE: Final = re.compile(r"([a-z]+)-(\d{4})\.sql")


class Migrations(msgspec.Struct, frozen=True, kw_only=True):
    """The schema of one kind of file.

    ``kind`` names it in messages, ``application_id`` marks its files (1 to 2**31 - 1), ``steps`` are SQL
    scripts: the first makes version 1. A script must not begin or end a transaction.
    """

    kind: str
    application_id: int
    steps: tuple[str, ...]

    @property
    def version(self) -> int:
        """The version that these steps lead to."""
        return len(self.steps)

    def check(self, conn: sqlite3.Connection, path: Path) -> int:
        """Return the file's version without changing it.

        Raises :class:`WrongDatabase` for another kind of file, also one that is not ours, and
        :class:`DatabaseNewer`.
        """
        mark = _pragma(conn, "application_id")
        version = _pragma(conn, "user_version")
        empty = mark == version == 0 and conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if mark != self.application_id and not empty:
            raise WrongDatabase(
                f"{path} is not a file of kind {self.kind!r}: its application id is {mark:#x}, "
                f"not {self.application_id:#x}; give another path",
                path=str(path),
            )
        if version > self.version:
            raise DatabaseNewer(
                f"{path} has schema version {version}, this Callboard knows up to {self.version}: use a newer one",
                path=str(path),
                found=version,
                known=self.version,
            )
        return version

    def apply(self, conn: sqlite3.Connection, path: Path) -> None:
        """Bring the file to :attr:`version`.

        If a step fails, close the connection: that undoes the step, and those before it stay.
        """
        for number in range(self.check(conn, path) + 1, self.version + 1):
            script = (
                f"BEGIN IMMEDIATE;\n{self.steps[number - 1]}\n;"
                f"PRAGMA application_id = {self.application_id};PRAGMA user_version = {number};COMMIT;"
            )
            conn.executescript(script)


def _pragma(conn: sqlite3.Connection, name: str) -> int:
    return int(conn.execute(f"PRAGMA {name}").fetchone()[0])


def packaged(kind: str) -> tuple[str, ...]:
    """Return the scripts shipped for `kind`, in order; a gap in their numbers is an error."""
    found: dict[int, str] = {}
    for file in (importlib.resources.files(__package__ or "") / "migrations").iterdir():
        named = _FILE.fullmatch(file.name)
        if named and named[1] == kind:
            found[int(named[2])] = file.read_text(encoding="utf-8")
    if not found or sorted(found) != list(range(1, len(found) + 1)):
        raise InvalidLimit(f"migrations of {kind!r} must be numbered from 0001 without a gap, not {sorted(found)}")
    return tuple(found[number] for number in sorted(found))


DAEMON: Final = Migrations(kind="daemon", application_id=0x43426431, steps=packaged("daemon"))
ACTOR: Final = Migrations(kind="actor", application_id=0x43426131, steps=packaged("actor"))
EPISODES: Final = Migrations(kind="episodes", application_id=0x43426531, steps=packaged("episodes"))
