"""Files that must not be opened are refused by name and left as they are."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from callboard.store import (
    ACTOR,
    DAEMON,
    Database,
    DatabaseCorrupt,
    DatabaseNewer,
    DatabaseReadOnly,
    DiskFull,
    InvalidLimit,
    Migrations,
    StoreError,
    WrongDatabase,
    set_aside,
)
from callboard.store.migrations import packaged

V1: Final = Migrations(kind="toys", application_id=5, steps=("CREATE TABLE toy (name TEXT)",))
V2: Final = Migrations(kind="toys", application_id=5, steps=(*V1.steps, "ALTER TABLE toy ADD price INTEGER DEFAULT 7"))


async def filled(path: Path, rows: int = 2000) -> None:
    async with Database.open(path, migrations=V1) as db:
        await db.write(
            lambda conn: conn.executemany("INSERT INTO toy VALUES (?)", ((f"toy {n}",) for n in range(rows))) and None
        )


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
        await db.write(lambda conn: conn.execute("INSERT INTO toy VALUES ('late')") and None)
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


async def test_set_aside_moves_a_file_whole_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "toys.db"
    for n in (1, 2):
        for part in ("", "-wal", "-shm"):
            (tmp_path / f"toys.db{part}").write_text(f"{n}{part}")
        assert set_aside(path) == tmp_path / f"toys.db.corrupt-{n}"
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert found == {f"toys.db.corrupt-{n}{part}": f"{n}{part}" for n in (1, 2) for part in ("", "-wal", "-shm")}
    with pytest.raises(FileNotFoundError):
        set_aside(path)
    await filled(path)
    assert await opened(path, V1)


def test_set_aside_ended_halfway_completes_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "toys.db").write_text("main")
    (tmp_path / "toys.db.corrupt-1-wal").write_text("log")
    assert set_aside(tmp_path / "toys.db") == tmp_path / "toys.db.corrupt-1"
    assert (tmp_path / "toys.db.corrupt-1-wal").read_text() == "log"


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


@pytest.mark.parametrize("folder_mode", [0o777, 0o555])
async def test_a_file_that_may_not_be_written_is_typed(tmp_path: Path, folder_mode: int) -> None:
    """Root may write anything, so a second process without rights tries it."""
    import tempfile  # noqa: PLC0415 - pytest's own folder lies below one that only this user may enter

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "toys.db"
        await filled(path)
        path.chmod(0o400 if os.getuid() else 0o444)
        folder.chmod(folder_mode)
        done = subprocess.run(
            [sys.executable, "-c", TRY_AS_NOBODY, str(path), str(tmp_path / "warm.db")],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        folder.chmod(0o700)
        assert done.stdout.strip() == "database-read-only", done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs the right to mount")
async def test_a_full_file_system_is_typed_and_recovers(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mount], check=False).returncode:
        pytest.skip("cannot mount here")
    try:
        async with Database.open(mount / "toys.db", migrations=V1) as db:
            await db.write(lambda conn: conn.execute("INSERT INTO toy VALUES ('kept')") and None)
            filler = mount / "filler"
            with contextlib.suppress(OSError):
                filler.write_bytes(bytes(1024 * 1024))
            big = ("x" * 100_000,)
            with pytest.raises(DiskFull):
                await db.write(lambda conn: conn.execute("INSERT INTO toy VALUES (?)", big) and None)
            assert await db.read(lambda conn: conn.execute("SELECT name FROM toy").fetchall()) == [("kept",)]
            filler.unlink()
            await db.write(lambda conn: conn.execute("INSERT INTO toy VALUES (?)", big) and None)
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(1024 * 1024))
        with pytest.raises(DiskFull):
            async with Database.open(mount / "more.db", migrations=V1):
                pass
    finally:
        subprocess.run(["umount", mount], check=True)
    assert threading.active_count() < 10
