"""Working memory as an actor sees it: the same verbs in a task and outside one, and namespaces that never mix."""

import math
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.actors.memory import Memory
from callboard.store import ActorFile, InvalidMemoryKey, MemoryLayer, Namespace, WorkingMemory, WrongValueType
from callboard.store.stored_keys import named
from callboard.testing import ManualClock

NAME: Final = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda key: len(key.encode()) <= 128)
TRICKY: Final = st.text(st.sampled_from("\0\1\2a"), min_size=1, max_size=5)
SPACE: Final = st.none() | NAME | TRICKY
KEY: Final = NAME | TRICKY


class Desk:
    """An actor's file, and its memory inside and outside a task."""

    def __init__(self, file: ActorFile, *, in_task: bool) -> None:
        self.file = file
        self.layer = file.layer() if in_task else None
        self.memory = Memory(self._open)

    async def _open(self) -> WorkingMemory | MemoryLayer:
        return self.layer or self.file.memory

    async def done(self) -> Memory:
        """Commit, if it is a task, and return the memory as others see it."""
        if self.layer is not None:
            await self.file.tasks.commit("task", self.layer, [])
        self.layer = None
        return self.memory


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=[False, True], ids=["outside", "in a task"])
async def desk(tmp_path: Path, clock: ManualClock, request: pytest.FixtureRequest) -> AsyncGenerator[Desk]:
    async with ActorFile.open(tmp_path, "desk", epoch=1, clock=clock, synchronous="NORMAL") as file:
        yield Desk(file, in_task=request.param)


async def test_all_verbs_work_in_a_namespace(desk: Desk) -> None:
    ada = desk.memory.of("ada")
    await ada.put("name", "Ada")
    assert await ada.incr("asked", 2) == 2
    assert await ada.update("name", str.upper, kind=str, default="") == "ADA"
    assert await ada.touch("asked", 60.0)
    assert not await ada.touch("other")
    assert await ada.get("name", str, default=None) == "ADA"
    assert await ada.items(kind=object) == [("asked", 2), ("name", "ADA")]
    assert await ada.items("na", kind=str) == [("name", "ADA")]
    assert await ada.delete("name")
    assert not await ada.delete("name")
    after = (await desk.done()).of("ada")
    assert await after.items(kind=int) == [("asked", 2)]


async def test_what_is_kept_for_two_customers_does_not_mix(desk: Desk) -> None:
    ada, bob, mine = desk.memory.of("ada"), desk.memory.of("bob"), desk.memory
    for number, space in enumerate((ada, bob, mine)):
        await space.put("name", number)
        await space.incr("asked", number)
    assert not await bob.delete("ada")
    assert await ada.delete("name")
    await bob.update("asked", lambda old: old + 10, kind=int, default=0)
    await desk.done()
    assert await ada.items(kind=int) == [("asked", 0)]
    assert await bob.items(kind=int) == [("asked", 11), ("name", 1)]
    assert await mine.items(kind=int) == [("asked", 2), ("name", 2)]


async def test_touch_lets_a_value_live_on(desk: Desk, clock: ManualClock) -> None:
    memory = await desk.done()
    await memory.put("kept", 1, ttl=10.0)
    await memory.put("left", 1, ttl=10.0)
    assert await memory.touch("kept", 20.0)
    await clock.advance(10.0)
    assert await memory.items(kind=int) == [("kept", 1)]
    assert not await memory.touch("left")
    assert await memory.touch("kept")
    await clock.advance(7199.0)
    assert await memory.items(kind=int) == [("kept", 1)]


async def test_a_key_or_namespace_that_is_none_is_refused(desk: Desk) -> None:
    memory: Any = desk.memory
    for name in ("", "x" * 129, "\ud800", 7, None):
        for call in (memory.put(name, 1), memory.of("ada").put(name, 1), memory.of("ada").touch(name)):
            with pytest.raises(InvalidMemoryKey):
                await call
        if name is not None:
            with pytest.raises(InvalidMemoryKey):
                memory.of(name)
    with pytest.raises(InvalidMemoryKey, match="NUL"):
        await memory.put("\0ada\0name", 1)
    with pytest.raises(InvalidMemoryKey, match="NUL"):
        await memory.items("\0ada\0", kind=int)


async def test_the_longest_key_of_the_longest_namespace_is_kept(desk: Desk) -> None:
    for name in ("x" * 128, "\0" * 128, "é" * 64):
        await desk.memory.of(name).put(name, name)
    for name in ("x" * 128, "\0" * 128, "é" * 64):
        assert await desk.memory.of(name).items(kind=str) == [(name, name)]


@settings(deadline=None)
@given(first=st.tuples(SPACE, KEY), second=st.tuples(SPACE, KEY))
def test_no_two_keys_of_namespaces_are_stored_alike(
    first: tuple[str | None, str], second: tuple[str | None, str]
) -> None:
    stored = []
    for name, key in (first, second):
        space = Namespace(name)
        if name is None and key.startswith("\0"):
            with pytest.raises(InvalidMemoryKey):
                space.stored(key)
            return
        stored.append(space.stored(key))
        assert space.key(stored[-1]) == key
        assert named(stored[-1]) == (repr(key) if name is None else f"{key!r} of {name!r}")
        assert stored[-1] >= space.start
    assert (stored[0] == stored[1]) == (first == second)


@settings(deadline=None)
@given(listed=SPACE, others=st.lists(st.tuples(SPACE, KEY), max_size=8), prefix=st.just("") | KEY)
def test_a_prefix_finds_the_keys_of_its_own_namespace_alone(
    listed: str | None, others: list[tuple[str | None, str]], prefix: str
) -> None:
    space = Namespace(listed)
    if listed is None and prefix.startswith("\0"):
        return
    for name, key in others:
        if name is None and key.startswith("\0"):
            continue
        stored = Namespace(name).stored(key)
        found = stored.startswith(space.prefix(prefix)) and stored >= space.start
        assert found == (name == listed and key.startswith(prefix))


async def test_an_error_names_the_key_and_the_namespace(desk: Desk) -> None:
    await desk.memory.of("ada").put("name", "Ada")
    with pytest.raises(WrongValueType, match=r"'name' of 'ada' does not hold a int"):
        await desk.memory.of("ada").get("name", int, default=0)


async def test_a_value_of_no_end_stays(desk: Desk, clock: ManualClock) -> None:
    await desk.memory.put("kept", 1, ttl=math.inf)
    memory = await desk.done()
    await clock.advance(1e5)
    assert await memory.get("kept", int, default=0) == 1
