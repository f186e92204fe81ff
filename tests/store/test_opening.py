"""Files that must not be opened are refused by name and left as they are."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import anyio
import pytest

from callboard.store import (
    ACTOR,
    DAEMON,
    EPISODES,
    Database,
    DatabaseCorrupt,
    DatabaseNewer,
    InvalidLimit,
    Migrations,
    StoreError,
    WrongDatabase,
    set_aside,
)
from callboard.store.migrations import packaged

V1: Final = Migrations(kind="toys", application_id=5, steps=("CREATE TABLE toy (name TEXT)",))
V2: Final = Migrations(kind="toys", application_id=5, steps=(*V1.steps, "ALTER TABLE toy ADD price INTEGER DEFAULT 7"))


def execute(sql: str, *values: object) -> Callable[[sqlite3.Connection], None]:
    """Return a function for the database that runs one statement."""

    def run(conn: sqlite3.Connection) -> None:
        conn.execute(sql, values)

    return run


async def filled(path: Path, rows: int = 2000) -> None:
    def fill(conn: sqlite3.Connection) -> None:
        conn.executemany("INSERT INTO toy VALUES (?)", ((f"toy {n}",) for n in range(rows)))

    async with Database.open(path, migrations=V1) as db:
        await db.write(fill)


async def opened(path: Path, migrations: Migrations) -> list[tuple[object, ...]]:
    async with Database.open(path, migrations=migrations) as db:
        return await db.read(lambda conn: conn.execute("SELECT * FROM toy LIMIT 3").fetchall())


async def test_a_corrupt_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    await filled(path)
    data = bytearray(path.read_bytes())
    data[8192:12288] = os.urandom(4096)
    path.write_bytes(data)
    with pytest.raises(DatabaseCorrupt, match=r"toys\.db.*set_aside") as caught:
        await opened(path, V1)
    assert caught.value.detail["path"] == str(path)
    assert path.read_bytes() == data


async def test_a_corrupt_file_with_a_log_is_not_touched(tmp_path: Path) -> None:
    """Opening for writing would move the log into the damaged file when it is closed."""
    path, copy = tmp_path / "toys.db", tmp_path / "copy.db"
    await filled(path)
    async with Database.open(path, migrations=V1) as db:
        await db.write(execute("INSERT INTO toy VALUES ('late')"))
        data = bytearray(path.read_bytes())
        data[4096 * 3 : 4096 * 4] = os.urandom(4096)
        copy.write_bytes(data)
        log = path.with_name("toys.db-wal").read_bytes()
        copy.with_name("copy.db-wal").write_bytes(log)
    with pytest.raises(DatabaseCorrupt):
        await opened(copy, V1)
    assert copy.read_bytes() == data
    assert copy.with_name("copy.db-wal").read_bytes() == log


async def test_what_is_no_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 400)
    with pytest.raises(DatabaseCorrupt):
        await opened(path, V1)
    assert path.read_text().startswith("Dear Sir")


async def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    await filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DatabaseCorrupt):
        await opened(path, V1)


NOON: Final = 1_700_049_600.0  # 15 November 2023, 12:00 UTC


def test_set_aside_moves_a_file_whole_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    names = [
        "toys.db.damaged-20231115T120000Z",
        "toys.db.damaged-20231115T120000Z.2",
        "toys.db.damaged-20231115T120001Z",
    ]
    (tmp_path / "toys.db.lock").write_text("lock")
    for name, now in zip(names, (NOON, NOON, NOON + 1.0), strict=True):
        for part in ("", "-wal", "-shm"):
            (tmp_path / f"toys.db{part}").write_text(f"{name}{part}")
        assert set_aside(path, now=now) == tmp_path / name
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert found.pop("toys.db.lock") == "lock"
    assert found == {f"{name}{part}": f"{name}{part}" for name in names for part in ("", "-wal", "-shm")}
    with pytest.raises(FileNotFoundError):
        set_aside(path, now=NOON)
    anyio.run(filled, path)
    assert anyio.run(opened, path, V1)


def test_set_aside_ended_halfway_completes_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "toys.db").write_text("main")
    (tmp_path / "toys.db.damaged-20231115T120000Z-wal").write_text("log")
    assert set_aside(tmp_path / "toys.db", now=NOON + 60.0) == tmp_path / "toys.db.damaged-20231115T120000Z"
    assert (tmp_path / "toys.db.damaged-20231115T120000Z-wal").read_text() == "log"


async def test_a_database_that_was_set_aside_gives_back_all_that_is_sound(tmp_path: Path) -> None:
    """Nothing of it is lost by the move: with its log it opens as it was."""
    path = tmp_path / "toys.db"
    await filled(path, rows=3)
    moved = set_aside(path, now=NOON)
    assert await opened(moved, V1) == [("toy 0",), ("toy 1",), ("toy 2",)]


@pytest.mark.parametrize("kind", [ACTOR, DAEMON, EPISODES], ids=lambda kind: kind.kind)
def test_a_sound_table_is_not_taken_for_a_damaged_one(kind: Migrations) -> None:
    """SQLite 3.40's quick_check does so for a table without rowids whose key has another order than its columns."""
    samples = {"INTEGER": "1", "REAL": "1.0", "TEXT": "'near'", "BLOB": "x'01'"}
    with contextlib.closing(sqlite3.connect(":memory:")) as conn:
        kind.apply(conn, Path("memory"))
        for (name,) in conn.execute(
            "SELECT name FROM sqlite_schema WHERE sql LIKE '%STRICT, WITHOUT ROWID%'"
        ).fetchall():
            values = [samples[column[2]] for column in conn.execute(f"PRAGMA table_info({name})").fetchall()]
            conn.execute(f"INSERT OR REPLACE INTO {name} VALUES ({', '.join(values)})")  # noqa: S608 - our own
        assert conn.execute("PRAGMA quick_check").fetchall() == [("ok",)]


async def test_migrations_are_applied_once_each_in_order(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    await filled(path, rows=1)
    assert await opened(path, V2) == [("toy 0", 7)]
    assert await opened(path, V2) == [("toy 0", 7)]


async def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    await filled(path, rows=1)
    broken = Migrations(kind="toys", application_id=5, steps=(*V1.steps, "CREATE TABLE box (n); SELECT nothing"))
    with pytest.raises(StoreError, match="nothing"):
        await opened(path, broken)
    assert await opened(path, V1) == [("toy 0",)]
    assert await opened(path, V2) == [("toy 0", 7)]


async def test_a_newer_file_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    await opened(path, V2)
    before = path.read_bytes()
    with pytest.raises(DatabaseNewer) as caught:
        await opened(path, V1)
    assert (caught.value.detail["found"], caught.value.detail["known"]) == (2, 1)
    assert path.read_bytes() == before


async def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "x.db", migrations=DAEMON):
        pass
    with pytest.raises(WrongDatabase, match="'actor'"):
        async with Database.open(tmp_path / "x.db", migrations=ACTOR):
            pass


async def test_the_file_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (n)")
    before = path.read_bytes()
    with pytest.raises(WrongDatabase):
        await opened(path, V1)
    assert path.read_bytes() == before


def test_shipped_migrations_are_numbered_without_a_gap() -> None:
    assert DAEMON.steps == packaged("daemon")
    assert ACTOR.version >= 1
    with pytest.raises(InvalidLimit, match="nobody"):
        packaged("nobody")


TRY_AS_NOBODY: Final = """
import os, sys, asyncio
from pathlib import Path
from callboard.store import Database, Migrations, StoreError
async def main():
    toys = Migrations(kind="toys", application_id=5, steps=("CREATE TABLE toy (name TEXT)",))
    async with Database.open(Path(sys.argv[2]), migrations=toys):
        pass  # so that all is imported before the right to read the interpreter's own files may be gone
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        async with Database.open(Path(sys.argv[1]), migrations=toys):
            print("opened")
    except StoreError as error:
        print(error.code)
asyncio.run(main())
"""


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users can reach: pytest's own lies below one that only this user may enter."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("folder_mode", [0o777, 0o555])
def test_a_file_that_may_not_be_written_is_typed(tmp_path: Path, shared_folder: Path, folder_mode: int) -> None:
    """Root may write anything, so a second process without rights tries it."""
    path = shared_folder / "toys.db"
    anyio.run(filled, path)
    path.chmod(0o444)
    shared_folder.chmod(folder_mode)
    printed = run([sys.executable, "-c", TRY_AS_NOBODY, str(path), str(tmp_path / "warm.db")])
    shared_folder.chmod(0o700)
    assert printed == ["database-read-only"]


FILL_UP: Final = """
import sys, asyncio
from pathlib import Path
from callboard.store import Database, DiskFull, Migrations
toys = Migrations(kind="toys", application_id=5, steps=("CREATE TABLE toy (name TEXT)",))
folder = Path(sys.argv[1])
def add(name):
    return lambda conn: conn.execute("INSERT INTO toy VALUES (?)", (name,)) and None
def fill():
    try:
        (folder / "filler").write_bytes(bytes(1024 * 1024))
    except OSError:
        pass
async def main():
    async with Database.open(folder / "toys.db", migrations=toys) as db:
        await db.write(add("kept"))
        fill()
        try:
            await db.write(add("x" * 100_000))
        except DiskFull as error:
            print("write:", error.code)
        print(await db.read(lambda conn: conn.execute("SELECT name FROM toy").fetchall()))
        (folder / "filler").unlink()
        await db.write(add("x" * 100_000))
    fill()
    try:
        async with Database.open(folder / "more.db", migrations=toys):
            pass
    except DiskFull as error:
        print("open:", error.code)
asyncio.run(main())
"""


def test_a_full_file_system_is_typed_and_recovers(tmp_path: Path) -> None:
    """In a mount namespace of its own, so that the small file system ends with its process."""
    mounted = [
        "unshare",
        "-Urm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=512k tmpfs "$0" && exec "$@"',
        str(tmp_path),
    ]
    if subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode:
        pytest.skip("cannot mount in a namespace here")
    printed = run([*mounted, sys.executable, "-c", FILL_UP, str(tmp_path)])
    assert printed == ["write: disk-full", "[('kept',)]", "open: disk-full"]


def run(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
