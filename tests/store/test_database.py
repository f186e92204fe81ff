"""The database: transactions as one function, cancelled anywhere, refused files, an end."""

import os
import random
import sqlite3
import stat
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import pytest

from callboard.store import (
    Database,
    DatabaseLocked,
    DatabaseReadOnly,
    DiskFull,
    InvalidLimit,
    Migrations,
    OwnerConflict,
    OwnerLock,
    StoreClosed,
    StoreError,
    Synchronous,
)

PAIRS: Final = Migrations(
    kind="pairs",
    application_id=77,
    steps=("CREATE TABLE a (n INTEGER PRIMARY KEY) STRICT; CREATE TABLE b (n INTEGER PRIMARY KEY) STRICT;",),
)
FOREVER: Final = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT sum(i) FROM r"


def pair(n: int) -> Callable[[sqlite3.Connection], int]:
    """Write two rows that belong together."""

    def write(conn: sqlite3.Connection) -> int:
        conn.execute("INSERT INTO a VALUES (?)", (n,))
        conn.execute("INSERT INTO b VALUES (?)", (n,))
        return n

    return write


def execute(sql: str, *values: object) -> Callable[[sqlite3.Connection], None]:
    """Return a function for the database that runs one statement."""

    def run(conn: sqlite3.Connection) -> None:
        conn.execute(sql, values)

    return run


def rows(conn: sqlite3.Connection) -> tuple[list[int], list[int]]:
    return [n for (n,) in conn.execute("SELECT n FROM a")], [n for (n,) in conn.execute("SELECT n FROM b")]


def in_transaction(conn: sqlite3.Connection) -> bool:
    return conn.in_transaction


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()


class Gate:
    """A function on the database's thread that waits until the test lets it through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, conn: sqlite3.Connection) -> None:
        self.entered.set()
        assert self.opened.wait(10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.db"


async def test_a_write_is_in_the_file_when_it_returns(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS) as db:
        assert await db.write(pair(1)) == 1
        other = sqlite3.connect(path)
        assert rows(other) == ([1], [1])
        other.close()


async def test_an_exception_undoes_all_of_its_write_and_reaches_the_caller(path: Path) -> None:
    def fails(conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO a VALUES (1)")
        raise LookupError("mine")

    async with Database.open(path, migrations=PAIRS) as db:
        with pytest.raises(LookupError, match="mine"):
            await db.write(fails)
        assert await db.read(rows) == ([], [])
        assert await db.write(pair(1)) == 1


async def test_sqlites_errors_become_the_stores_with_their_cause(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS) as db:
        await db.write(pair(1))
        with pytest.raises(StoreError, match="UNIQUE") as caught:
            await db.write(pair(1))
        assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
        assert caught.value.detail["path"] == str(path)


async def test_a_read_cannot_write(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS) as db:
        with pytest.raises(DatabaseReadOnly):
            await db.read(pair(1))
        assert await db.read(rows) == ([], [])
        assert await db.write(pair(1)) == 1


async def test_a_function_may_not_end_its_transaction(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS) as db:
        with pytest.raises(StoreError, match="COMMIT or ROLLBACK itself"):
            await db.write(execute("COMMIT"))
        assert await db.write(pair(1)) == 1


async def test_writes_that_wait_together_fail_on_their_own(path: Path) -> None:
    gate, caught = Gate(), list[int]()

    async with Database.open(path, migrations=PAIRS) as db:

        async def write(n: int) -> None:
            try:
                await db.write(pair(n))
            except StoreError:
                caught.append(n)

        await db.write(pair(5))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(db.write, gate)
            await until(gate.entered.is_set)
            for n in range(10):
                tasks.start_soon(write, n)
            await until(lambda: db.pending == 11)
            gate.opened.set()
        assert caught == [5]
        assert await db.read(rows) == (list(range(10)), list(range(10)))


async def test_writes_that_wait_together_share_one_commit(path: Path) -> None:
    gate, commits = Gate(), list[str]()

    def count(statement: str) -> None:
        commits.append(statement) if statement == "COMMIT" else None

    async with Database.open(path, migrations=PAIRS) as db:
        await db.read(lambda conn: conn.set_trace_callback(count))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(db.read, gate)
            await until(gate.entered.is_set)
            for n in range(10):
                tasks.start_soon(db.write, pair(n))
            await until(lambda: db.pending == 11)
            gate.opened.set()
        assert len(commits) == 1


async def test_what_is_told_as_committed_is_told_in_order_and_only_then(path: Path) -> None:
    told = list[int]()

    async with Database.open(path, migrations=PAIRS) as db:
        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(partial(db.write, pair(n), committed=told.append))
        with pytest.raises(StoreError):
            await db.write(pair(3), committed=told.append)
        assert sorted(told) == told == list(range(20))


async def test_sixty_four_tasks_lose_no_update(path: Path) -> None:
    counter = Migrations(
        kind="counter", application_id=78, steps=("CREATE TABLE c (n INTEGER); INSERT INTO c VALUES (0)",)
    )

    def add(conn: sqlite3.Connection) -> None:
        [(n,)] = conn.execute("SELECT n FROM c").fetchall()
        conn.execute("UPDATE c SET n = ?", (n + 1,))

    async with Database.open(path, migrations=counter, max_pending=20) as db:

        async def work() -> None:
            for _ in range(25):
                await db.write(add)

        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(work)
        assert await db.read(lambda conn: conn.execute("SELECT n FROM c").fetchone()) == (1600,)
        assert db.pending == 0


# Cancelling


async def _check_sound(db: Database, fresh: int) -> None:
    """No transaction is open, pairs are whole, and the next write does not wait out the busy timeout of 5 seconds."""
    started = time.monotonic()
    await db.write(pair(fresh))
    assert time.monotonic() - started < 1.0, "a disk may be slow for once"
    assert not await db.read(in_transaction)
    a, b = await db.read(rows)
    assert a == b
    assert fresh in a
    await until(lambda: db.pending == 0)


@pytest.mark.parametrize("seed", range(10))
async def test_cancelling_at_any_point_leaves_no_transaction_open(path: Path, seed: int) -> None:
    """Thirty random points for each seed, in a call that is alone and in ones that wait together."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice, no secret
    async with Database.open(path, migrations=PAIRS, max_pending=4, synchronous="NORMAL") as db:

        async def work(base: int) -> None:
            for n in range(3):
                await db.write(pair(base + n))
                await db.read(rows)

        for turn in range(30):
            base = 100 * turn
            async with anyio.create_task_group() as tasks:
                for task in range(chance.choice([1, 2, 8])):
                    tasks.start_soon(work, base + 10 * task)
                for _ in range(chance.randrange(60)):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await _check_sound(db, base + 99)


async def _cancelled(call: Callable[[], Awaitable[object]], when: Callable[[], bool]) -> None:
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await call()
            raise AssertionError("the call was not cancelled")

        tasks.start_soon(run)
        await until(when)
        tasks.cancel_scope.cancel()


async def test_a_write_cancelled_before_it_began_is_skipped(path: Path) -> None:
    gate = Gate()
    async with Database.open(path, migrations=PAIRS) as db, anyio.create_task_group() as tasks:
        tasks.start_soon(db.write, gate)
        await until(gate.entered.is_set)
        await _cancelled(lambda: db.write(pair(1)), lambda: db.pending == 2)
        gate.opened.set()
        await _check_sound(db, 2)
        assert await db.read(rows) == ([2], [2])


async def test_a_write_cancelled_while_it_runs_runs_whole(path: Path) -> None:
    gate = Gate()

    def write(conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO a VALUES (1)")
        gate(conn)
        conn.execute("INSERT INTO b VALUES (1)")

    async with Database.open(path, migrations=PAIRS) as db:
        await _cancelled(lambda: db.write(write), gate.entered.is_set)
        gate.opened.set()
        await _check_sound(db, 2)
        assert await db.read(rows) == ([1, 2], [1, 2])


async def test_a_write_cancelled_while_it_waits_for_another_process_leaves_no_lock(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS) as db:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = threading.Event()
        await db.read(lambda conn: conn.set_trace_callback(lambda _: began.set()))
        await _cancelled(lambda: db.write(pair(1)), began.is_set)
        await db_is_free_after(other, db)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        other.close()


async def db_is_free_after(other: sqlite3.Connection, db: Database) -> None:
    other.execute("ROLLBACK")
    await until(lambda: db.pending == 0)
    await _check_sound(db, 2)


async def test_the_queue_is_bounded_also_when_callers_give_up(path: Path) -> None:
    gate = Gate()
    async with Database.open(path, migrations=PAIRS, max_pending=3) as db, anyio.create_task_group() as tasks:
        tasks.start_soon(db.write, gate)
        await until(gate.entered.is_set)
        for n in range(50):
            with anyio.move_on_after(0.001):
                await db.write(pair(n))
            assert db.pending <= 3
        assert db.pending == 3
        gate.opened.set()
        await _check_sound(db, 99)
        assert await db.read(rows) == ([99], [99])


async def test_a_shielded_write_works_while_its_task_is_cancelled(path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with Database.open(path, migrations=PAIRS) as db:
            try:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
            finally:
                with anyio.CancelScope(shield=True), anyio.fail_after(5):
                    await db.write(pair(1))
    async with Database.open(path, migrations=PAIRS) as db:
        assert await db.read(rows) == ([1], [1])


# Disk and neighbours


async def test_a_full_disk_is_typed_and_loses_nothing(path: Path) -> None:
    def much(conn: sqlite3.Connection) -> None:
        conn.executemany("INSERT INTO a VALUES (?)", ((n,) for n in range(10, 50_000)))

    async with Database.open(path, migrations=PAIRS) as db:
        await db.write(pair(1))
        await db.read(execute("PRAGMA max_page_count = 8"))
        with pytest.raises(DiskFull) as caught:
            await db.write(much)
        assert caught.value.detail["path"] == str(path)
        assert await db.read(rows) == ([1], [1])
        await db.read(execute("PRAGMA max_page_count = 1000000"))
        await db.write(much)


async def test_a_locked_file_is_typed_and_does_not_stall_the_loop(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS, busy_timeout=1.0) as db:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        longest = 0.0
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                nonlocal longest
                before = time.monotonic()
                while True:
                    await anyio.lowlevel.checkpoint()
                    longest, before = max(longest, time.monotonic() - before), time.monotonic()

            tasks.start_soon(watch)
            with pytest.raises(DatabaseLocked):
                await db.write(pair(1))
            tasks.cancel_scope.cancel()
        assert longest < 0.5  # seconds; a wait on the loop itself would last as long as the busy timeout
        other.execute("ROLLBACK")
        other.close()
        await db.write(pair(1))


async def test_opening_a_locked_file_is_typed(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS):
        pass
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseLocked):
        async with Database.open(path, migrations=PAIRS, busy_timeout=0.05):
            pass
    other.close()


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_files_are_for_their_owner_only(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT, 0o644))
    async with Database.open(path.parent / "deep" / "pairs.db", migrations=PAIRS) as db:
        await db.write(pair(1))
        assert modes(db.path.parent) == {"pairs.db": 0o600, "pairs.db-wal": 0o600, "pairs.db-shm": 0o600}
        assert modes(path.parent)["deep"] == 0o700
    async with Database.open(path, migrations=PAIRS):
        assert modes(path.parent)["pairs.db"] == 0o600


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1)])
async def test_the_connection_is_configured_as_promised(path: Path, synchronous: Synchronous, number: int) -> None:
    def settings(conn: sqlite3.Connection) -> dict[str, object]:
        names = (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "mmap_size",
            "busy_timeout",
            "journal_size_limit",
        )
        return {name: conn.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    async with Database.open(path, migrations=PAIRS, synchronous=synchronous, busy_timeout=1.5) as db:
        assert await db.read(settings) == {
            "journal_mode": "wal",
            "synchronous": number,
            "foreign_keys": 1,
            "mmap_size": 0,
            "busy_timeout": 1500,
            "journal_size_limit": 16 * 1024 * 1024,
        }


async def test_a_queue_of_no_places_is_refused(path: Path) -> None:
    with pytest.raises(InvalidLimit, match="max_pending"):
        async with Database.open(path, migrations=PAIRS, max_pending=0):
            pass


# The end


async def test_closing_ends_the_thread(path: Path) -> None:
    before = threading.enumerate()
    async with Database.open(path, migrations=PAIRS) as db:
        assert len(threading.enumerate()) == len(before) + 1
        await db.write(pair(1))
    assert threading.enumerate() == before


def spoil(path: Path) -> None:
    path.write_bytes(b"no database, but long enough to look at" * 100)


async def test_a_failed_opening_ends_the_thread_and_frees_the_lock(path: Path) -> None:
    before = threading.enumerate()
    spoil(path)
    with pytest.raises(StoreError):
        async with Database.open(path, migrations=PAIRS, lock=OwnerLock(path)):
            pass
    assert threading.enumerate() == before
    with OwnerLock(path):
        pass


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_cancelled_opening_ends_the_thread_and_frees_the_lock(path: Path, turns: int) -> None:
    before = threading.enumerate()
    async with anyio.create_task_group() as tasks:

        async def opening() -> None:
            async with Database.open(path, migrations=PAIRS, lock=OwnerLock(path)):
                await anyio.sleep_forever()

        tasks.start_soon(opening)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert threading.enumerate() == before
    async with Database.open(path, migrations=PAIRS, lock=OwnerLock(path)) as db:
        await db.write(pair(1))


async def test_the_lock_is_held_as_long_as_the_file_is_open(path: Path) -> None:
    lock = OwnerLock(path)
    async with Database.open(path, migrations=PAIRS, lock=lock):
        with pytest.raises(OwnerConflict):
            OwnerLock(path).acquire()
        with pytest.raises(OwnerConflict):
            async with Database.open(path, migrations=PAIRS, lock=lock):
                pass
        with pytest.raises(OwnerConflict):
            OwnerLock(path).acquire()
    with OwnerLock(path):
        pass


async def test_closing_waits_for_what_is_pending(path: Path) -> None:
    gate = Gate()
    # The database is closed first, while the tasks still run.
    async with anyio.create_task_group() as tasks, Database.open(path, migrations=PAIRS) as db:
        tasks.start_soon(db.write, gate)
        await until(gate.entered.is_set)
        for n in range(5):
            tasks.start_soon(db.write, pair(n))
        await until(lambda: db.pending == 6)
        gate.opened.set()
    async with Database.open(path, migrations=PAIRS) as db:
        assert await db.read(rows) == (list(range(5)), list(range(5)))


async def test_closing_ends_a_statement_that_would_run_forever(path: Path) -> None:
    caught = list[type[Exception]]()
    before = threading.enumerate()

    async def attempt(call: Awaitable[object]) -> None:
        try:
            await call
        except StoreError as error:
            caught.append(type(error))

    opening = Database.open(path, migrations=PAIRS, close_within=0.05)
    async with anyio.create_task_group() as tasks, opening as db:
        tasks.start_soon(attempt, db.write(lambda conn: conn.execute(FOREVER).fetchone()))
        tasks.start_soon(attempt, db.write(pair(1)))
        tasks.start_soon(attempt, db.read(rows))
        await until(lambda: db.pending == 3)
    assert caught == [StoreClosed] * 3
    assert threading.enumerate() == before


async def test_a_closed_database_refuses_at_once(path: Path) -> None:
    async with Database.open(path, migrations=PAIRS) as db:
        pass
    with pytest.raises(StoreClosed, match=r"pairs\.db"):
        await db.write(pair(1))
    with pytest.raises(StoreClosed):
        await db.read(rows)


async def test_who_waits_for_a_place_when_the_database_closes_is_refused(path: Path) -> None:
    gate, caught = Gate(), list[str]()
    async with anyio.create_task_group() as tasks:

        async def late(db: Database) -> None:
            with pytest.raises(StoreClosed):
                await db.write(pair(1))
            caught.append("late")

        async with Database.open(path, migrations=PAIRS, max_pending=1) as db:
            tasks.start_soon(db.write, gate)
            await until(gate.entered.is_set)
            tasks.start_soon(late, db)
            await anyio.lowlevel.checkpoint()
            gate.opened.set()
    assert caught == ["late"]


# Joined changes


class Pairs:
    """A joined change that writes pairs; told what was committed."""

    def __init__(self) -> None:
        self.runs = list[list[int]]()
        self.told = list[list[int]]()

    def run(self, conn: sqlite3.Connection, items: list[int]) -> int:
        self.runs.append(items)
        conn.executemany("INSERT INTO a VALUES (?)", [(n,) for n in items])
        conn.executemany("INSERT INTO b VALUES (?)", [(n,) for n in items])
        return len(items)

    def committed(self, items: list[int], result: int) -> None:
        assert len(items) == result
        self.told.append(items)


async def test_items_of_a_joined_change_are_made_at_once(path: Path) -> None:
    pairs = Pairs()

    async def write(n: int) -> None:
        assert await db.join(pairs, n) == 10

    async with Database.open(path, migrations=PAIRS) as db:
        async with anyio.create_task_group() as tasks:
            for n in range(10):
                tasks.start_soon(write, n)
        assert pairs.runs == pairs.told == [list(range(10))]
        assert await db.read(rows) == (list(range(10)), list(range(10)))


async def test_an_item_that_fails_takes_no_other_along(path: Path) -> None:
    pairs, caught = Pairs(), list[int]()

    async def write(n: int) -> None:
        try:
            await db.join(pairs, n)
        except StoreError:
            caught.append(n)

    async with Database.open(path, migrations=PAIRS) as db:
        await db.write(pair(5))
        async with anyio.create_task_group() as tasks:
            for n in range(10):
                tasks.start_soon(write, n)
        assert caught == [5]
        assert pairs.told == [[n] for n in range(10) if n != 5]
        assert await db.read(rows) == (list(range(10)), list(range(10)))
        with pytest.raises(StoreError, match="UNIQUE"):
            await db.join(pairs, 5)
        assert not await db.read(in_transaction)


async def test_a_joined_change_keeps_its_place_among_the_others(path: Path) -> None:
    pairs = Pairs()
    async with Database.open(path, migrations=PAIRS) as db:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(db.write, pair(1))
            tasks.start_soon(_join, db, pairs, 2)
            tasks.start_soon(db.write, execute("DELETE FROM a WHERE n = 2"))
            tasks.start_soon(_join, db, pairs, 3)
        assert await db.read(rows) == ([1, 3], [1, 2, 3])
        assert pairs.told == [[2], [3]]


async def _join(db: Database, pairs: Pairs, n: int) -> None:
    await db.join(pairs, n)


async def test_joined_items_are_cancelled_and_bounded_as_all_others(path: Path) -> None:
    gate, pairs = Gate(), Pairs()
    async with Database.open(path, migrations=PAIRS, max_pending=3) as db, anyio.create_task_group() as tasks:
        tasks.start_soon(db.write, gate)
        await until(gate.entered.is_set)
        for n in range(20):
            with anyio.move_on_after(0.001):
                await db.join(pairs, n)
        assert db.pending == 3
        gate.opened.set()
        await _check_sound(db, 99)
        assert pairs.runs == []
    with pytest.raises(StoreClosed):
        await db.join(pairs, 1)
