"""Copies of a database in use: whole, of a state that was, never over another file; and what is taken back of them."""

import os
import random
import resource
import signal
import sqlite3
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
import pytest

from callboard.store import (
    ACTOR,
    DAEMON,
    EPISODES,
    ActorFile,
    BackupDamaged,
    BackupExists,
    Database,
    MemoryConflict,
    Outgoing,
    StoreError,
    WorkingMemory,
    back_up,
    checked_backup,
    restore_memory,
)
from callboard.testing import ManualClock


@asynccontextmanager
async def opened(folder: Path, clock: ManualClock, *, epoch: int = 1) -> AsyncGenerator[ActorFile]:
    async with ActorFile.open(folder, "desk", epoch=epoch, clock=clock, synchronous="NORMAL") as file:
        yield file


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def file(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[ActorFile]:
    async with opened(tmp_path, clock) as file:
        yield file


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def fill(file: ActorFile, count: int = 200, *, text: str = "x" * 200) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(file.memory.put, f"key-{number:04}", f"{number} {text}")


@pytest.fixture
async def backup(file: ActorFile, tmp_path: Path) -> Path:
    """A backup of 200 values, after which the memory has changed."""
    await fill(file)
    await back_up(file.db, tmp_path / "copy.db")
    await fill(file, 3, text="later")
    await file.memory.put("since", 1)
    return tmp_path / "copy.db"


def rows_of(path: Path, table: str = "memory") -> list[Any]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - a table's name


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_backup_is_whole_sound_and_nobody_elses_to_read(file: ActorFile, backup: Path) -> None:
    assert checked_backup(backup, ACTOR.application_id) == ACTOR.version
    assert mode_of(backup) == 0o600
    assert len(rows_of(backup)) == 200
    assert names(backup.parent) == ["actors", "copy.db"]


async def test_a_backup_says_how_long_it_is(file: ActorFile, tmp_path: Path) -> None:
    assert await back_up(file.db, tmp_path / "copy.db") == (tmp_path / "copy.db").stat().st_size > 0


async def test_a_backup_overwrites_nothing(file: ActorFile, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(BackupExists, match=r"copy\.db is there already"):
        await back_up(file.db, target)
    assert target.read_text() == "mine"
    assert names(tmp_path) == ["actors", "copy.db"]


async def test_of_two_backups_at_once_to_one_path_one_is_there_whole(file: ActorFile, tmp_path: Path) -> None:
    await fill(file)
    said = list[str]()

    async def copy() -> None:
        try:
            await back_up(file.db, tmp_path / "copy.db")
        except BackupExists:
            said.append("exists")

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(copy)
    assert said == ["exists"] * 3
    assert checked_backup(tmp_path / "copy.db", ACTOR.application_id)
    assert names(tmp_path) == ["actors", "copy.db"]


async def test_a_backup_into_no_folder_is_an_error_of_the_store(file: ActorFile, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere"):
        await back_up(file.db, tmp_path / "nowhere" / "copy.db")


async def test_a_backup_under_writing_is_a_state_that_was(file: ActorFile, tmp_path: Path) -> None:
    """Each write raises two counters; those of a copy are equal, and of the time in which it was made."""
    await fill(file)
    done = 0

    def both(conn: sqlite3.Connection) -> None:
        for key in ("a", "b"):
            file.memory.add(conn, key, 1, 0.0)

    async def keep_writing() -> None:
        nonlocal done
        while True:
            await file.db.write(both)
            done += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_writing)
        await until(lambda: done > 0)
        for turn in range(5):
            before = done
            await back_up(file.db, tmp_path / f"{turn}.db")
            found = {key: value for key, value, *_ in rows_of(tmp_path / f"{turn}.db") if key in {"a", "b"}}
            first, second = (msgspec.msgpack.decode(found[key], type=int) for key in ("a", "b"))
            assert first == second
            assert before <= first <= done + 1
        tasks.cancel_scope.cancel()


async def test_a_write_waits_for_no_backup(file: ActorFile, tmp_path: Path) -> None:
    await fill(file, 2000, text="x" * 4000)
    ended, during = False, 0

    async def copy() -> None:
        nonlocal ended
        await back_up(file.db, tmp_path / "copy.db")
        ended = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(copy)
        while not ended:
            await file.memory.put("during", during)
            during += 1
    assert during > 3


async def test_a_disk_without_room_leaves_no_copy(file: ActorFile, tmp_path: Path) -> None:
    await fill(file, 2000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError):
            await back_up(file.db, tmp_path / "copy.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert names(tmp_path) == ["actors"]


# --- what is no sound backup


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(5000, len(data), 997):
        data[at] ^= 0xFF
    path.write_bytes(data)


def one_bit_flipped(path: Path, chance: random.Random) -> Callable[[], object]:
    """Flip a bit, and return what undoes it."""
    whole = path.read_bytes()
    data = bytearray(whole)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return lambda: path.write_bytes(whole)


def only_to_be_read(path: Path) -> None:
    path.chmod(0o400)


def shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def deleted(path: Path) -> None:
    path.unlink()


def a_letter(path: Path) -> None:
    path.write_text("Dear Sir or Madam, " * 400)


def changed(sql: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(sql)


WRONG: Final = {
    "bytes flipped": flipped,
    "truncated": shortened,
    "empty": emptied,
    "absent": deleted,
    "no database": a_letter,
    "of another kind": partial(changed, f"PRAGMA application_id = {DAEMON.application_id}"),
    "of nobody": partial(changed, "PRAGMA application_id = 0"),
    "newer": partial(changed, f"PRAGMA user_version = {ACTOR.version + 1}"),
    "without its table": partial(changed, "DROP TABLE memory"),
    "a row without a value": partial(
        changed,
        "DROP TABLE memory; CREATE TABLE memory (key, value, expires, used); "
        "INSERT INTO memory VALUES ('a', x'01', 9e99, 1), ('b', NULL, 9e99, 2)",
    ),
    "a key that is none": partial(
        changed,
        "DROP TABLE memory; CREATE TABLE memory (key, value, expires, used); "
        "INSERT INTO memory VALUES ('', x'01', 9e99, 1)",
    ),
}


@pytest.mark.parametrize("harm", WRONG.values(), ids=WRONG)
async def test_what_is_no_sound_backup_changes_nothing(
    file: ActorFile, backup: Path, harm: Callable[[Path], None]
) -> None:
    before = await file.memory.items()
    harm(backup)
    with pytest.raises(BackupDamaged, match=r"copy\.db is no sound backup, nothing was changed") as caught:
        await restore_memory(file, backup)
    assert caught.value.detail["path"] == str(backup)
    assert await file.memory.items() == before
    await file.memory.put("after", 1)


async def test_any_one_byte_that_is_wrong_is_refused_or_does_no_harm(file: ActorFile, backup: Path) -> None:
    """What SQLite cannot see is a byte inside a value: then the rest is restored."""
    chance = random.Random(7)  # noqa: S311 - the same bytes each time
    for _ in range(60):
        undo = one_bit_flipped(backup, chance)
        before = len(await file.memory.items(type=msgspec.Raw))
        try:
            restored = await restore_memory(file, backup)
        except BackupDamaged:
            restored = before
        assert len(await file.memory.items(type=msgspec.Raw)) == restored
        undo()


async def test_each_kind_of_file_is_known(tmp_path: Path) -> None:
    for kind in (ACTOR, DAEMON, EPISODES):
        async with Database.open(tmp_path / f"{kind.kind}.db", migrations=kind) as db:
            await back_up(db, tmp_path / f"{kind.kind}-copy.db")
        assert checked_backup(tmp_path / f"{kind.kind}-copy.db", kind.application_id) == kind.version


# --- taking it back


async def test_memory_becomes_what_it_was(file: ActorFile, backup: Path, clock: ManualClock, tmp_path: Path) -> None:
    assert await restore_memory(file, backup) == 200
    expected = [(f"key-{number:04}", f"{number} {'x' * 200}") for number in range(200)]
    assert await file.memory.items() == expected
    assert await file.memory.get("key-0001") == expected[1][1]
    assert await file.memory.get("since", default=None) is None
    assert await file.memory.incr("count") == 1
    size = await file.db.read(lambda conn: conn.execute("SELECT entries FROM memory_size").fetchone()[0])
    assert size == 201


async def test_it_is_there_after_a_reopening_with_its_ends(tmp_path: Path, clock: ManualClock) -> None:
    async with opened(tmp_path, clock) as file:
        await file.memory.put("short", 1, ttl=10.0)
        await file.memory.put("long", 2, ttl=100.0)
        await back_up(file.db, tmp_path / "copy.db")
    await clock.advance(10.0)
    async with opened(tmp_path / "other", clock) as file:
        assert await restore_memory(file, tmp_path / "copy.db") == 1
    async with opened(tmp_path / "other", clock, epoch=2) as file:
        assert await file.memory.items() == [("long", 2)]
        await clock.advance(90.0)
        assert await file.memory.items() == []


async def test_what_had_expired_does_not_come_back(file: ActorFile, tmp_path: Path, clock: ManualClock) -> None:
    await file.memory.put("dead", 1, ttl=1.0)
    await back_up(file.db, tmp_path / "copy.db")
    await clock.advance(1.0)
    assert await restore_memory(file, tmp_path / "copy.db") == 0
    assert rows_of(file.db.path) == []


async def test_what_belongs_to_tasks_is_not_touched(file: ActorFile, backup: Path) -> None:
    layer = file.layer()
    await layer.put("answer", 1)
    await file.tasks.commit("t-1", layer, [Outgoing("tell", "clerk", "m-1", b"said")])
    before = [rows_of(file.db.path, table) for table in ("inbox", "outbox", "owner", "tries", "steps")]
    await restore_memory(file, backup)
    assert [rows_of(file.db.path, table) for table in ("inbox", "outbox", "owner", "tries", "steps")] == before
    assert (await file.tasks.known("t-1")).done
    assert await file.memory.get("answer", default=None) is None


async def test_a_task_that_read_what_was_replaced_is_done_again(file: ActorFile, backup: Path) -> None:
    layer = file.layer()
    await layer.update("key-0000", lambda old: old + "!", type=str, default="")
    await restore_memory(file, backup)
    with pytest.raises(MemoryConflict):
        await file.tasks.commit("t-1", layer, [])


async def test_of_more_than_fits_the_last_used_are_taken_and_their_order_holds(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with opened(tmp_path, clock) as file:
        for key in "abcde":
            await file.memory.put(key, key)
        await file.memory.get("a")
        await file.memory.sweep()
        await back_up(file.db, tmp_path / "copy.db")
    async with opened(tmp_path / "other", clock) as file:
        file.memory = WorkingMemory(file.db, clock=clock, max_rows=3)
        await file.memory.put("mine", 1)
        assert await restore_memory(file, tmp_path / "copy.db") == 3
        assert [key for key, _ in await file.memory.items()] == ["a", "d", "e"]
        await file.memory.put("f", "f")
        assert [key for key, _ in await file.memory.items()] == ["a", "e", "f"]


async def test_writes_of_the_same_moment_come_before_or_after(file: ActorFile, backup: Path) -> None:
    async def put(number: int) -> None:
        await file.memory.put(f"new-{number:02}", number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(put, number)
        tasks.start_soon(restore_memory, file, backup)
        for number in range(20, 40):
            tasks.start_soon(put, number)
    listed = await file.memory.items()
    assert [key for key, *_ in sorted(rows_of(file.db.path))] == [key for key, _ in listed]
    for key, value in listed:
        assert await file.memory.get(key) == value


async def test_a_backup_that_only_may_be_read_can_be_restored(file: ActorFile, backup: Path) -> None:
    only_to_be_read(backup)
    assert await restore_memory(file, backup) == 200
