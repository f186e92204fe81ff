"""What an actor's file knows of its tasks: committed whole, once, by its owner alone, and still there after a kill."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.clock import Clock, SystemClock
from callboard.store import ActorFile, Fenced, MemoryConflict, MemoryLayer, Outgoing, Step, TaskDone
from callboard.testing import ManualClock

CLOCK = SystemClock()


@asynccontextmanager
async def opened(folder: Path, *, epoch: int = 1, clock: Clock = CLOCK) -> AsyncGenerator[ActorFile]:
    async with ActorFile.open(folder, "desk", epoch=epoch, clock=clock, synchronous="NORMAL") as file:
        yield file


def say(text: str) -> Outgoing:
    return Outgoing("tell", "clerk", text, text.encode())


async def test_a_commit_writes_the_id_the_memory_and_the_messages_together(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        layer = file.layer()
        await layer.put("answer", 42)
        await layer.incr("done")
        await file.tasks.commit("t-1", layer, [say("one"), say("two")])
        assert [(each.task, each.id, each.data) for each in await file.tasks.outbox(limit=9)] == [
            ("t-1", "one", b"one"), ("t-1", "two", b"two"),
        ]  # fmt: skip
        assert await file.memory.get("answer", int) == 42
    async with opened(tmp_path, epoch=2) as file:
        assert (await file.tasks.known("t-1")).done
        assert await file.memory.get("done", int) == 1


async def test_a_second_commit_of_a_task_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        for number in range(2):
            layer = file.layer()
            await layer.incr("done")
            if number == 0:
                await file.tasks.commit("t-1", layer, [])
                continue
            with pytest.raises(TaskDone):
                await file.tasks.commit("t-1", layer, [say("again")])
        assert await file.memory.get("done", int) == 1
        assert await file.tasks.leaving() == 0


async def test_what_another_has_changed_meanwhile_fails_an_update_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        await file.memory.put("sum", 1)
        layer = file.layer()
        assert await layer.update("sum", lambda value: value + 1, type=int, default=0) == 2
        await layer.incr("count")
        await file.memory.put("sum", 10)
        with pytest.raises(MemoryConflict, match="sum"):
            await file.tasks.commit("t-1", layer, [say("no")])
        assert not (await file.tasks.known("t-1")).done
        assert await file.memory.get("count", int, default=0) == 0
        assert await file.memory.get("sum", int) == 10


async def test_a_deletion_that_followed_from_an_update_fails_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        await file.memory.put("sum", 1)
        layer = file.layer()
        if await layer.update("sum", lambda value: value - 1, type=int, default=0) == 0:
            await layer.delete("sum")
        await file.memory.put("sum", 10)
        with pytest.raises(MemoryConflict, match="sum"):
            await file.tasks.commit("t-1", layer, [])
        assert await file.memory.get("sum", int) == 10


@pytest.mark.parametrize("first", ["incr", "put"])
async def test_a_counter_keeps_the_time_to_live_that_its_task_gave_it(tmp_path: Path, first: str) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock=clock) as file:
        layer = file.layer()
        await (layer.incr("count", ttl=60.0) if first == "incr" else layer.put("count", 1, ttl=60.0))
        assert await layer.incr("count") == 2
        await file.tasks.commit("t-1", layer, [])
        await clock.advance(59.0)
        assert await file.memory.get("count", int) == 2
        await clock.advance(2.0)
        assert await file.memory.get("count", int, default=None) is None


async def test_a_file_that_a_later_incarnation_owns_takes_no_late_word(tmp_path: Path) -> None:
    """The fence: what a process that was given up still tries to write is refused, all of it."""
    async with opened(tmp_path, epoch=1) as file:
        with sqlite3.connect(file.db.path) as other:
            other.execute("UPDATE owner SET epoch = 2")
        other.close()
        late = (
            lambda: file.tasks.commit("t-1", file.layer(), []), lambda: file.tasks.failed("t-1", "x"),
            lambda: file.tasks.step("t-1", "a", Step(False, "", b"")), lambda: file.tasks.claim([1]),
            lambda: file.tasks.left([1]), lambda: file.tasks.forget("t-1"),
            lambda: file.tasks.sweep(0.0), lambda: file.tasks.known("t-1"),
        )  # fmt: skip
        for call in late:
            with pytest.raises(Fenced, match="epoch 2"):
                await call()


async def test_failures_are_counted_with_their_words_and_forgotten_with_the_task(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        assert await file.tasks.failed("t-1", "first") == (1, ["first"])
        assert await file.tasks.failed("t-1", "second") == (2, ["first", "second"])
        await file.tasks.step("t-1", "pay", Step(False, "digest", b"\x2a"))
        known = await file.tasks.known("t-1")
        assert (known.tries, known.steps) == (2, {"pay": Step(False, "digest", b"\x2a")})
        await file.tasks.commit("t-1", file.layer(), [])
        assert await file.tasks.taken() == []
        assert (await file.tasks.known("t-1")).done


async def test_what_waits_is_told_by_its_size_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        await file.tasks.step("t-1", "pay", Step(False, "digest", b"four"))
        await file.tasks.step("t-1", "send", Step(True, "digest", None))
        await file.tasks.commit("t-2", file.layer(), [say("one"), say("two")])
        taken = [(each.task, each.name, each.act, each.settled, each.bytes) for each in await file.tasks.taken()]
        assert taken == [("t-1", "pay", False, True, 4), ("t-1", "send", True, False, 0)]
        assert await file.tasks.leaving() == 2


async def test_the_inbox_forgets_what_is_old_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as file:
        for number in range(5):
            await file.tasks.commit(f"t-{number}", file.layer(), [])
        assert await file.tasks.sweep(CLOCK.now() - 60.0) == 0
        assert await file.tasks.sweep(CLOCK.now() + 60.0, limit=3) == 3
        assert sum([(await file.tasks.known(f"t-{number}")).done for number in range(5)]) == 2


async def test_an_act_is_never_forgotten_for_its_age(tmp_path: Path) -> None:
    """Its task may have been queued for as long as its process was down."""
    async with opened(tmp_path) as file:
        begun, done = Step(True, "digest", None), Step(True, "digest", b"\x2a")
        await file.tasks.step("t-1", "send", begun)
        await file.tasks.step("t-1", "mail", done)
        await file.tasks.step("t-1", "pay", Step(False, "digest", b"\x2a"))
        await file.tasks.sweep(CLOCK.now() + 60.0)
        assert (await file.tasks.known("t-1")).steps == {"send": begun, "mail": done}


VERBS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9)),
        st.tuples(st.just("incr"), st.integers(-3, 3)),
        st.tuples(st.just("delete"), st.just(0)),
        st.tuples(st.just("update"), st.integers(1, 3)),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(first=st.one_of(st.none(), st.integers(0, 9)), verbs=VERBS)
def test_a_layer_shows_its_task_and_leaves_what_the_same_verbs_would_have_left(
    tmp_path_factory: pytest.TempPathFactory, first: int | None, verbs: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        async with opened(tmp_path_factory.mktemp("layer")) as file:
            value = first
            if first is not None:
                await file.memory.put("key", first)
            layer = file.layer()
            for verb, number in verbs:
                value = await _act(layer, verb, number, value)
                assert await layer.get("key", int, default=None) == value
                assert dict(await layer.items()) == ({} if value is None else {"key": value})
            assert await file.memory.get("key", int, default=None) == first, "nobody else sees it yet"
            await file.tasks.commit("t", layer, [])
            assert await file.memory.get("key", int, default=None) == value

    anyio.run(play)


async def _act(layer: MemoryLayer, verb: str, number: int, value: int | None) -> int | None:
    if verb == "put":
        await layer.put("key", number)
        return number
    if verb == "delete":
        assert await layer.delete("key") == (value is not None)
        return None
    if verb == "incr":
        return await layer.incr("key", number)
    changed: int = await layer.update("key", lambda old: old * number, type=int, default=1)
    return changed


CHILD = """
import os, signal, sys
from pathlib import Path
import anyio
from callboard.clock import SystemClock
from callboard.store import ActorFile, Outgoing

async def main():
    async with ActorFile.open(Path(sys.argv[1]), "desk", epoch=1, clock=SystemClock()) as file:
        number = 0
        while True:
            layer = file.layer()
            await layer.incr("done")
            await file.tasks.commit(f"t-{number}", layer, [Outgoing("tell", "clerk", str(number), b"x")])
            print(number, flush=True)
            number += 1

anyio.run(main)
"""


def _run_and_kill(folder: Path, after: int) -> int:
    """Commit in another process, kill it, and return how many commits it was told of."""
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= after:
                child.kill()
                break
        said = [int(each) for each in child.stdout.read().split()]
    return max([after, *said]) + 1


@pytest.mark.chaos
@pytest.mark.parametrize("after", [1, 20, 50])
async def test_a_kill_leaves_each_task_whole_or_not_at_all(tmp_path: Path, after: int) -> None:
    acknowledged = _run_and_kill(tmp_path, after)
    async with opened(tmp_path, epoch=2) as file:
        done = await file.memory.get("done", int, default=0)
        assert acknowledged <= done <= acknowledged + 1
        assert await file.tasks.leaving() == done
        assert all([(await file.tasks.known(f"t-{number}")).done for number in range(done)])
        assert not (await file.tasks.known(f"t-{done}")).done
