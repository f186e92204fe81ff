"""Working memory as one task sees it, against the memory itself, and against what others do meanwhile."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.store import ActorFile, MemoryLayer, NoSuchKey, WorkingMemory
from callboard.testing import ManualClock

KEYS: Final = st.sampled_from(["a", "b", "ba", "c"])
TTLS: Final = st.sampled_from([None, 1.0, 3.0])
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(-9, 9), TTLS),
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("incr"), KEYS, TTLS),
        st.tuples(st.just("update"), KEYS, TTLS),
        st.tuples(st.just("touch"), KEYS, TTLS),
        st.tuples(st.just("items"), st.sampled_from(["", "b", "d"]), st.sampled_from(["", "b", "bb"])),
        st.tuples(st.just("commit"), st.sampled_from([0.0, 1.0, 2.0])),
    ),
    max_size=40,
)


@asynccontextmanager
async def opened(folder: Path, clock: ManualClock) -> AsyncGenerator[ActorFile]:
    async with ActorFile.open(folder, "desk", epoch=1, clock=clock, synchronous="NORMAL") as file:
        yield file


async def play(memory: WorkingMemory | MemoryLayer, step: tuple[Any, ...]) -> object:
    match step:
        case ("put", key, value, ttl):
            await memory.put(key, value, ttl=ttl)
            return None
        case ("get", key):
            return await memory.get(key, int, default=None)
        case ("delete", key):
            return await memory.delete(key)
        case ("incr", key, ttl):
            return await memory.incr(key, ttl=ttl)
        case ("update", key, ttl):
            return await memory.update(key, lambda old: 2 * old + 1, type=int, default=0, ttl=ttl)
        case ("touch", key, ttl):
            return await memory.touch(key, ttl)
        case ("items", prefix, start):
            return await memory.items(prefix, type=int, start=start)
        case _:
            raise AssertionError(step)


async def commit(file: ActorFile, layer: MemoryLayer, task: str = "t") -> None:
    await file.tasks.commit(task, layer, [])


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
async def test_tasks_one_after_the_other_see_and_leave_what_memory_itself_would(steps: list[tuple[Any, ...]]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        async with opened(Path(one), clock) as plain, opened(Path(two), clock) as tasks:
            layer = tasks.layer()
            for number, step in enumerate([*steps, ("commit", 0.0)]):
                if step[0] == "commit":
                    await commit(tasks, layer, f"t-{number}")
                    assert await tasks.memory.items(type=int) == await plain.memory.items(type=int)
                    layer = tasks.layer()
                    await clock.advance(step[1])
                else:
                    assert await play(layer, step) == await play(plain.memory, step)


async def test_a_touch_in_a_task_counts_when_the_task_is_done(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as file:
        for key in ("done", "left"):
            await file.memory.put(key, 1, ttl=10.0)
        layer, other = file.layer(), file.layer()
        assert await layer.touch("done", 20.0)
        assert await other.touch("left", 20.0)
        await commit(file, layer)
        await clock.advance(10.0)
        assert await file.memory.items(type=int) == [("done", 1)]


async def test_a_touch_keeps_what_another_has_put_meanwhile(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as file:
        await file.memory.put("key", 1, ttl=10.0)
        layer = file.layer()
        assert await layer.touch("key", 20.0)
        await file.memory.put("key", 2, ttl=10.0)
        await commit(file, layer)
        await clock.advance(19.0)
        assert await file.memory.get("key", int) == 2


async def test_a_touch_brings_nothing_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as file:
        layer = file.layer()
        for key in ("deleted", "expired"):
            await file.memory.put(key, 1, ttl=10.0)
            assert await layer.touch(key, 20.0)
        await file.memory.delete("deleted")
        await clock.advance(10.0)
        await commit(file, layer)
        assert await file.memory.items() == []


async def test_a_task_does_not_see_its_own_value_once_that_has_expired(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as file:
        layer = file.layer()
        await layer.put("put", 1, ttl=1.0)
        await layer.incr("count", 5, ttl=1.0)
        await clock.advance(1.0)
        assert await layer.get("put", int, default=None) is None
        assert await layer.items(type=int) == []
        assert not await layer.touch("put")
        assert not await layer.delete("put")
        assert await layer.incr("count") == 1
        await commit(file, layer)
        assert await file.memory.items(type=int) == [("count", 1)]
        with pytest.raises(NoSuchKey):
            await file.memory.get("put")
