"""Working memory: typed values that expire, are evicted, and are never aliased."""

import contextlib
import math
import sqlite3
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.store import (
    ACTOR,
    Database,
    DiskFull,
    InvalidLimit,
    InvalidMemoryKey,
    NoSuchKey,
    StoreError,
    ValueTooLarge,
    WorkingMemory,
    WrongValueType,
)


class ManualClock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await anyio.lowlevel.checkpoint()


class Point(msgspec.Struct, frozen=True):
    x: int
    y: int = 0


@asynccontextmanager
async def memory_at(folder: Path, clock: ManualClock, **options: Any) -> AsyncGenerator[WorkingMemory, None]:
    async with Database.open(folder / "actor.db", migrations=ACTOR, synchronous="NORMAL") as db:
        yield WorkingMemory(db, clock=clock, **options)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def memory(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[WorkingMemory, None]:
    async with memory_at(tmp_path, clock) as memory:
        yield memory


async def reason(memory: WorkingMemory, key: str) -> object:
    with pytest.raises(NoSuchKey, match=repr(key)) as caught:
        await memory.get(key)
    return caught.value.detail["reason"]


async def test_values_come_back_typed(memory: WorkingMemory) -> None:
    await memory.put("point", Point(1, 2))
    await memory.put("names", ["a", "b"])
    assert await memory.get("point", Point) == Point(1, 2)
    assert await memory.get("names", type=list[str]) == ["a", "b"]
    assert await memory.get("names") == ["a", "b"]
    assert await memory.get("names", int | list[str]) == ["a", "b"]


async def test_absent_expired_and_a_stored_none_differ(memory: WorkingMemory, clock: ManualClock) -> None:
    await memory.put("none", None)
    await memory.put("short", 1, ttl=10.0)
    assert await memory.get("none", default=5) is None
    assert await reason(memory, "other") == "absent"
    clock.time += 10.0
    assert await reason(memory, "short") == "expired"
    assert await memory.get("short", int, default=7) == 7
    assert await memory.get("other", int, default="none") == "none"


async def test_a_value_lives_two_hours_by_default(memory: WorkingMemory, clock: ManualClock) -> None:
    await memory.put("key", 1)
    await memory.put("kept", 1, ttl=math.inf)
    clock.time += 7199.0
    assert await memory.get("key", int) == 1
    clock.time += 1.0
    assert await reason(memory, "key") == "expired"
    clock.time += 1e9
    assert await memory.get("kept", int) == 1


async def test_a_value_is_fresh_on_each_get(memory: WorkingMemory) -> None:
    mine = [1]
    await memory.put("list", mine)
    mine.append(2)
    first = await memory.get("list", list[int])
    first.append(3)
    assert await memory.get("list", list[int]) == [1]


async def test_another_type_than_stored_is_an_error(memory: WorkingMemory) -> None:
    await memory.put("key", "text")
    with pytest.raises(WrongValueType, match="'key' does not hold a int"):
        await memory.get("key", int)
    with pytest.raises(WrongValueType):
        await memory.incr("key")
    with pytest.raises(WrongValueType):
        await memory.items(type=int)
    assert await memory.get("key", str) == "text"


def _endless() -> list[object]:
    cycle: list[object] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", _endless(), {1j: 2}], ids=repr)
async def test_what_cannot_be_stored_is_an_error(memory: WorkingMemory, value: object) -> None:
    with pytest.raises(WrongValueType, match="'key'"):
        await memory.put("key", value)
    assert await reason(memory, "key") == "absent"


async def test_a_value_above_its_limit_is_refused_with_both_sizes(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, max_value_bytes=100) as memory:
        await memory.put("key", b"x" * 98)
        with pytest.raises(ValueTooLarge) as caught:
            await memory.put("key", b"x" * 99)
        assert (caught.value.detail["size"], caught.value.detail["limit"]) == (101, 100)
        with pytest.raises(ValueTooLarge):
            await memory.update("key", lambda old: old + b"x", type=bytes)
        assert await memory.get("key", bytes) == b"x" * 98


@pytest.mark.parametrize("key", ["", "x" * 129, "é" * 65, "\ud800", 7, None], ids=repr)
async def test_a_key_that_is_no_key_is_refused_everywhere(memory: WorkingMemory, key: Any) -> None:
    for call in (
        memory.put(key, 1),
        memory.get(key, default=1),
        memory.delete(key),
        memory.update(key, lambda old: old, type=int, default=1),
        memory.incr(key),
    ):
        with pytest.raises(InvalidMemoryKey, match="1 to 128 bytes"):
            await call


@settings(deadline=None)
@given(key=st.text(min_size=1).filter(lambda key: len(key.encode("utf-8", "surrogatepass")) <= 128))
async def test_any_text_of_up_to_128_bytes_is_a_key(key: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with memory_at(Path(folder), ManualClock()) as memory:
            await memory.put("neighbour", 0)
            await memory.put(key, 1)
            assert await memory.get(key, int) == 1
            assert (key, 1) in await memory.items(key, type=int)
            assert await memory.delete(key)
            assert await memory.get(key, default=None) is None


@pytest.mark.parametrize("ttl", [0, -1.0, math.nan, -math.inf])
async def test_a_time_to_live_is_above_zero(memory: WorkingMemory, ttl: float) -> None:
    with pytest.raises(InvalidLimit, match="seconds above 0"):
        await memory.put("key", 1, ttl=ttl)


@pytest.mark.parametrize("option", ["max_rows", "max_value_bytes", "default_ttl"])
async def test_limits_are_checked_when_memory_is_made(tmp_path: Path, clock: ManualClock, option: str) -> None:
    with pytest.raises(InvalidLimit):
        async with memory_at(tmp_path, clock, **{option: 0}):
            pass


async def test_delete_says_whether_a_living_value_was_there(memory: WorkingMemory, clock: ManualClock) -> None:
    await memory.put("living", 1)
    await memory.put("dead", 1, ttl=1.0)
    clock.time += 2.0
    assert await memory.delete("living")
    assert not await memory.delete("living")
    assert not await memory.delete("dead")
    assert await reason(memory, "dead") == "absent"


async def test_items_are_the_living_ones_under_a_prefix_in_order(memory: WorkingMemory, clock: ManualClock) -> None:
    for n, key in enumerate(["b:2", "a:9", "b:1", "c", "b%"]):
        await memory.put(key, n)
    await memory.put("b:0", 5, ttl=1.0)
    clock.time += 1.0
    assert await memory.items("b:", type=int) == [("b:1", 2), ("b:2", 0)]
    assert [key for key, _ in await memory.items()] == ["a:9", "b%", "b:1", "b:2", "c"]
    assert await memory.items("d") == []


async def test_update_is_atomic_among_many_tasks(memory: WorkingMemory) -> None:
    async def add(n: int) -> None:
        await memory.update("all", lambda old: [*old, n], type=list[int], default=[])

    async with anyio.create_task_group() as tasks:
        for n in range(64):
            tasks.start_soon(add, n)
    assert sorted(await memory.get("all", list[int])) == list(range(64))


async def test_update_without_a_value_or_a_default_fails(memory: WorkingMemory, clock: ManualClock) -> None:
    with pytest.raises(NoSuchKey, match="absent"):
        await memory.update("key", lambda old: old, type=int)
    await memory.put("key", 1, ttl=1.0)
    clock.time += 1.0
    with pytest.raises(NoSuchKey, match="expired"):
        await memory.update("key", lambda old: old, type=int)
    assert await memory.update("key", lambda old: old + 1, type=int, default=10) == 11


async def test_a_failing_update_changes_nothing(memory: WorkingMemory) -> None:
    await memory.put("key", 1)
    with pytest.raises(ZeroDivisionError):
        await memory.update("key", lambda old: old // 0, type=int)
    assert await memory.get("key", int) == 1
    assert await memory.update("key", lambda old: old + 1, type=int) == 2


async def test_update_renews_the_time_to_live_and_incr_keeps_it(memory: WorkingMemory, clock: ManualClock) -> None:
    await memory.put("state", 1, ttl=10.0)
    assert await memory.incr("count", 2, ttl=10.0) == 2
    clock.time += 6.0
    await memory.update("state", lambda old: old, type=int, ttl=10.0)
    assert await memory.incr("count", -3) == -1
    clock.time += 6.0
    assert await memory.get("state", int) == 1
    assert await reason(memory, "count") == "expired"
    assert await memory.incr("count") == 1


async def test_incr_beyond_64_bits_is_an_error_and_changes_nothing(memory: WorkingMemory) -> None:
    await memory.put("count", 2**64 - 1)
    with pytest.raises(WrongValueType):
        await memory.incr("count")
    assert await memory.get("count", int) == 2**64 - 1


async def test_incr_loses_nothing_among_many_tasks(memory: WorkingMemory) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(64):
            tasks.start_soon(memory.incr, "count")
    assert await memory.get("count", int) == 64


async def test_sweep_deletes_the_expired_in_portions(memory: WorkingMemory, clock: ManualClock) -> None:
    for n in range(7):
        await memory.put(f"short-{n}", n, ttl=1.0)
    await memory.put("long", 1)
    clock.time += 1.0
    assert [await memory.sweep(limit=5) for _ in range(3)] == [5, 2, 0]
    assert await reason(memory, "short-0") == "absent"
    assert await memory.get("long", int) == 1


async def test_the_least_recently_used_row_is_evicted(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, max_rows=3) as memory:
        for key in "abc":
            await memory.put(key, key)
        await memory.get("a")
        await memory.put("b", "again")
        await memory.put("d", "d")
        assert [key for key, _ in await memory.items()] == ["a", "b", "d"]
        assert await reason(memory, "c") == "absent"
        await memory.put("e", "e")
        assert [key for key, _ in await memory.items()] == ["b", "d", "e"]


async def test_writes_of_one_moment_evict_the_oldest_and_never_each_other_out_of_turn(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with memory_at(tmp_path, clock, max_rows=20) as memory:
        for n in range(20):
            await memory.put(f"old-{n:02}", n)
        await memory.get("old-00")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.incr, "old-01")  # written in the same transaction: in the file it is new by now
            for n in range(5):
                tasks.start_soon(memory.put, f"put-{n}", n)
                tasks.start_soon(memory.incr, f"count-{n}")
            tasks.start_soon(memory.delete, "old-02")
        left = [key for key, _ in await memory.items()]
        assert [key for key in left if key.startswith("old")] == ["old-00", "old-01"] + [
            f"old-{n:02}" for n in range(12, 20)
        ]
        assert len(left) == 20
        for key in left:
            assert await memory.get(key) is not None


async def test_more_writes_of_one_moment_than_there_are_rows_leave_the_last(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, max_rows=3) as memory:
        await memory.put("before", 1)
        async with anyio.create_task_group() as tasks:
            for n in range(64):
                tasks.start_soon(memory.put if n % 3 else memory.incr, f"{n:02}", 1)
        assert [key for key, _ in await memory.items()] == ["61", "62", "63"]
        assert await reason(memory, "60") == "absent"


async def test_touch_lets_a_living_value_live_on_and_is_a_use_of_it(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, max_rows=2) as memory:
        await memory.put("kept", 1, ttl=10.0)
        await memory.put("left", 2, ttl=10.0)
        assert await memory.touch("kept", 20.0)
        clock.time += 10.0
        assert await memory.get("kept", int) == 1
        assert not await memory.touch("left")
        assert not await memory.touch("never")
        assert await reason(memory, "left") == "expired"
        await memory.put("new", 3)
        assert [key for key, _ in await memory.items()] == ["kept", "new"]
        assert await memory.touch("kept")
        clock.time += 7199.0
        assert await memory.get("kept", int) == 1


async def test_a_sweep_with_nothing_to_do_writes_nothing(memory: WorkingMemory, clock: ManualClock) -> None:
    await memory.put("key", 1)
    assert await memory.sweep() == 0
    changes = await memory._db.read(lambda conn: conn.total_changes)
    assert await memory.sweep() == 0
    assert await memory._db.read(lambda conn: conn.total_changes) == changes


async def test_reading_an_absent_or_expired_key_is_no_use_of_it(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, max_rows=2) as memory:
        await memory.put("old", 1, ttl=1.0)
        await memory.put("new", 1)
        clock.time += 1.0
        await memory.get("old", default=None)
        await memory.put("newest", 1)
        assert [key for key, _ in await memory.items()] == ["new", "newest"]


async def test_the_order_of_use_survives_a_reopening_after_a_sweep(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, max_rows=3) as memory:
        for key in "abc":
            await memory.put(key, key)
        await memory.get("a")
        await memory.sweep()
    async with memory_at(tmp_path, clock, max_rows=3) as memory:
        await memory.put("d", "d")
        assert [key for key, _ in await memory.items()] == ["a", "c", "d"]


async def test_a_smaller_limit_shrinks_an_old_file(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock) as memory:
        for n in range(20):
            await memory.put(f"{n:02}", n)
    async with memory_at(tmp_path, clock, max_rows=3) as memory:
        await memory.put("new", 1)
        assert [key for key, _ in await memory.items()] == ["18", "19", "new"]


async def test_values_survive_a_reopening(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock) as memory:
        await memory.put("key", Point(1, 2), ttl=10.0)
    clock.time += 9.0
    async with memory_at(tmp_path, clock) as memory:
        assert await memory.get("key", Point) == Point(1, 2)
        clock.time += 1.0
        assert await reason(memory, "key") == "expired"


async def test_values_beyond_the_resident_bytes_are_read_from_the_file(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock, resident_bytes=250) as memory:
        for n in range(10):
            await memory.put(f"{n}", bytes([n]) * 100)
        await memory.put("huge", b"x" * 1000)
        for n in range(10):
            assert await memory.get(f"{n}", bytes) == bytes([n]) * 100
        assert await memory.get("huge", bytes) == b"x" * 1000


async def test_a_refused_commit_is_not_seen_by_readers(tmp_path: Path, clock: ManualClock) -> None:
    def limit(conn: sqlite3.Connection) -> None:
        conn.execute("PRAGMA max_page_count = 12")

    async with Database.open(tmp_path / "actor.db", migrations=ACTOR) as db:
        memory = WorkingMemory(db, clock=clock)
        await memory.put("key", 1)
        await db.read(limit)
        with pytest.raises(DiskFull):
            await memory.put("key", b"x" * 100_000)
        assert await memory.get("key", int) == 1
        assert await memory.items(type=int) == [("key", 1)]


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_a_cancelled_put_leaves_memory_and_file_equal(tmp_path: Path, clock: ManualClock, turns: int) -> None:
    async with memory_at(tmp_path, clock) as memory:
        await memory.put("key", 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.put, "key", 2)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await memory.put("other", 3)
        seen = await memory.get("key", int)
        assert await memory.items("key", type=int) == [("key", seen)]
        assert seen in {1, 2}


async def test_a_closed_memory_says_so(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock) as memory:
        pass
    with pytest.raises(StoreError, match="closed"):
        await memory.put("key", 1)


async def test_two_actors_keep_the_same_key_apart(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path / "ant", clock) as ant, memory_at(tmp_path / "bee", clock, max_rows=2) as bee:
        await ant.put("key", "ant")
        for n in range(5):
            await bee.put(f"{n}", n)
        await bee.put("key", "bee")
        assert await ant.get("key") == "ant"
        assert await bee.get("key") == "bee"


async def test_writes_of_one_moment_share_their_commits(memory: WorkingMemory) -> None:
    said = list[str]()
    await memory._db.read(lambda conn: conn.set_trace_callback(said.append))
    async with anyio.create_task_group() as tasks:
        for n in range(64):
            tasks.start_soon(memory.put, f"{n}", n)
            tasks.start_soon(memory.incr, "count")
    assert sum(text == "COMMIT" for text in said) <= 2
    assert len(await memory.items()) == 65


async def test_a_put_is_in_the_file_when_it_returns(tmp_path: Path, clock: ManualClock) -> None:
    async with memory_at(tmp_path, clock) as memory:
        await memory.put("key", 1)
        await memory.touch("key", 60.0)
        with contextlib.closing(sqlite3.connect(tmp_path / "actor.db")) as other:
            assert other.execute("SELECT key, expires FROM memory").fetchall() == [("key", clock.time + 60.0)]


async def test_no_verb_shows_what_has_expired(memory: WorkingMemory, clock: ManualClock) -> None:
    for key in ("got", "listed", "added", "updated", "deleted", "touched"):
        await memory.put(key, 5, ttl=1.0)
    clock.time += 1.0
    assert await memory.get("got", int, default=None) is None
    assert await memory.items() == []
    assert await memory.incr("added") == 1
    assert await memory.update("updated", lambda old: old + 1, type=int, default=0) == 1
    assert not await memory.delete("deleted")
    assert not await memory.touch("touched")


async def test_a_clock_that_goes_back_brings_nothing_swept_back(memory: WorkingMemory, clock: ManualClock) -> None:
    await memory.put("key", 1, ttl=1.0)
    clock.time += 1.0
    await memory.sweep()
    clock.time -= 1.0
    assert await reason(memory, "key") == "absent"


# Against a model: a dict of key → (value, expiry) in the order of use

KEYS: Final = st.sampled_from(["a", "b", "c", "d", "e"])
TTLS: Final = st.sampled_from([1.0, 2.0, 5.0, math.inf])
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(-9, 9), TTLS),
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("incr"), KEYS),
        st.tuples(st.just("update"), KEYS),
        st.tuples(st.just("touch"), KEYS, TTLS),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 3.0])),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("reopen")),
    ),
    max_size=40,
)
ROWS: Final = 3


class Model:
    """What memory promises, in the plainest words. A row's place in the dict is its order of use."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.rows: dict[str, tuple[int, float]] = {}

    def use(self, key: str, row: tuple[int, float]) -> None:
        self.rows.pop(key, None)
        self.rows[key] = row
        if len(self.rows) > ROWS:
            del self.rows[next(iter(self.rows))]

    def living(self, key: str) -> int | None:
        value, expires = self.rows.get(key, (0, -math.inf))
        return value if expires > self.clock.time else None

    def get(self, key: str) -> int | Literal["absent", "expired"]:
        value = self.living(key)
        if value is not None:
            self.use(key, self.rows[key])
            return value
        return "expired" if key in self.rows else "absent"

    def incr(self, key: str) -> int:
        value = self.living(key)
        row = (1, self.clock.time + 2.0) if value is None else (value + 1, self.rows[key][1])
        self.use(key, row)
        return row[0]

    def update(self, key: str) -> int:
        value = 2 * (self.living(key) or 0) + 1
        self.use(key, (value, self.clock.time + 2.0))
        return value

    def touch(self, key: str, ttl: float) -> bool:
        value = self.living(key)
        if value is not None:
            self.use(key, (value, self.clock.time + ttl))
        return value is not None

    def sweep(self) -> int:
        dead = [key for key in self.rows if self.living(key) is None]
        for key in dead:
            del self.rows[key]
        return len(dead)


async def _get(memory: WorkingMemory, key: str) -> object:
    try:
        return await memory.get(key, int)
    except NoSuchKey as error:
        return error.detail["reason"]


async def _play(memory: WorkingMemory, model: Model, step: tuple[Any, ...]) -> None:
    match step:
        case ("put", key, value, ttl):
            await memory.put(key, value, ttl=ttl)
            model.use(key, (value, model.clock.time + ttl))
        case ("get", key):
            assert await _get(memory, key) == model.get(key)
        case ("delete", key):
            assert await memory.delete(key) == (model.living(key) is not None)
            model.rows.pop(key, None)
        case ("incr", key):
            assert await memory.incr(key) == model.incr(key)
        case ("update", key):
            assert await memory.update(key, lambda old: 2 * old + 1, type=int, default=0) == model.update(key)
        case ("touch", key, ttl):
            assert await memory.touch(key, ttl) == model.touch(key, ttl)
        case ("wait", seconds):
            model.clock.time += seconds
        case _:
            assert await memory.sweep() == model.sweep()
    expected = sorted((key, row[0]) for key, row in model.rows.items() if model.living(key) is not None)
    assert await memory.items(type=int) == expected


@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
async def test_memory_behaves_as_its_model(steps: list[tuple[Any, ...]]) -> None:
    clock = ManualClock()
    model, options = Model(clock), {"max_rows": ROWS, "default_ttl": 2.0, "resident_bytes": 2}
    with tempfile.TemporaryDirectory() as folder:
        todo = list(steps)
        while todo:
            async with memory_at(Path(folder), clock, **options) as memory:
                while todo and (step := todo.pop(0)) != ("reopen",):
                    await _play(memory, model, step)
                assert await memory.sweep() == model.sweep()
