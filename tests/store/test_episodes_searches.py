"""Searches that wait together: one call for many, and nobody waits for ever."""

import threading
from typing import TYPE_CHECKING

import anyio
import numpy as np
import pytest

from callboard.store import StoreClosed
from callboard.store.episodes.index import VectorIndex
from callboard.store.episodes.searches import Searches

from .remembered import until

if TYPE_CHECKING:
    from callboard.store.episodes.embedder import Vectors


class Held(VectorIndex):
    """An index whose searches wait until they are let through."""

    def __init__(self) -> None:
        super().__init__(8)
        self.add(list(range(8)), np.eye(8, dtype=np.float32))
        self.gate, self.batches = threading.Event(), list[int]()

    def search(self, queries: "Vectors", most: int) -> list[list[tuple[int, float]]]:
        self.batches.append(len(queries))
        assert self.gate.wait(10)
        return super().search(queries, most)


def axis(at: int) -> "Vectors":
    row: Vectors = np.eye(8, dtype=np.float32)[at]
    return row


async def test_searches_that_wait_together_are_one_call_and_the_next_one_runs() -> None:
    index, found = Held(), dict[int, int]()
    searches = Searches()

    async def one(at: int) -> None:
        found[at] = (await searches.near(index, axis(at), 1))[0][0]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for at in range(4):
                tasks.start_soon(one, at)
            await until(lambda: bool(index.batches))
            for at in range(4, 8):
                tasks.start_soon(one, at)
            await anyio.wait_all_tasks_blocked()
            index.gate.set()
        assert found == {at: at for at in range(8)}
        assert index.batches == [4, 4]
        assert (await searches.near(index, axis(3), 1))[0][0] == 3


@pytest.mark.parametrize("leaver", range(4))
async def test_who_is_cancelled_leaves_the_turn_to_the_next(leaver: int) -> None:
    index, found = Held(), set[int]()
    searches, scopes = Searches(), [anyio.CancelScope() for _ in range(4)]

    async def one(at: int) -> None:
        with scopes[at]:
            await searches.near(index, axis(at), 1)
            found.add(at)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for at in range(4):
                tasks.start_soon(one, at)
            await until(lambda: bool(index.batches))
            await anyio.wait_all_tasks_blocked()
            scopes[leaver].cancel()
            await anyio.wait_all_tasks_blocked()
            index.gate.set()
        assert found >= set(range(4)) - {leaver}
        assert (await searches.near(index, axis(3), 1))[0][0] == 3


async def test_the_one_who_has_the_turn_and_leaves_hands_it_on() -> None:
    index, found = Held(), list[int]()
    searches, scope = Searches(), anyio.CancelScope()

    async def one(at: int, scope: anyio.CancelScope) -> None:
        with scope:
            await searches.near(index, axis(at), 1)
            found.append(at)
            if at == 0:
                first_leaves.cancel()

    first_leaves = scope
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, 0, anyio.CancelScope())
            await until(lambda: bool(index.batches))
            tasks.start_soon(one, 1, scope)
            tasks.start_soon(one, 2, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            index.gate.set()
    assert found[0] == 0
    assert 2 in found


async def test_searches_of_two_indexes_are_never_one_call() -> None:
    """Vectors of two embedders may differ in width, and are never compared."""
    index, narrow = Held(), VectorIndex(4)
    narrow.add([5], np.eye(4, dtype=np.float32)[:1])
    searches, found = Searches(), dict[str, int]()

    async def one(name: str, where: VectorIndex, vector: "Vectors") -> None:
        found[name] = (await searches.near(where, vector, 1))[0][0]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "first", index, axis(1))
            await until(lambda: bool(index.batches))
            tasks.start_soon(one, "narrow", narrow, np.eye(4, dtype=np.float32)[0])
            tasks.start_soon(one, "wide", index, axis(2))
            await anyio.wait_all_tasks_blocked()
            index.gate.set()
    assert found == {"first": 1, "narrow": 5, "wide": 2}


async def test_an_error_of_a_search_reaches_all_who_asked_and_not_the_next() -> None:
    index = Held()
    index.gate.set()
    searches, failed = Searches(), list[str]()

    async def bad() -> None:
        try:
            await searches.near(index, np.full(8, np.nan, np.float32), 1)
        except Exception as error:  # noqa: BLE001 - its kind is asserted
            failed.append(type(error).__name__)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(bad)
        assert failed == ["BadVector"] * 3
        assert (await searches.near(index, axis(3), 1))[0][0] == 3


async def test_who_searches_in_what_was_closed_hears_so_at_once() -> None:
    index, heard = Held(), list[str]()
    searches = Searches()

    async def one() -> None:
        try:
            await searches.near(index, axis(0), 1)
            heard.append("found")
        except StoreClosed:
            heard.append("closed")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await until(lambda: bool(index.batches))
            tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            searches.close()
            tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            index.gate.set()
        await one()
    assert sorted(heard) == ["closed", "closed", "closed", "found"]


async def test_more_than_may_wait_wait_for_a_place_and_all_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.store.episodes.searches.WAITING_MOST", 3)
    index, found, searches = Held(), list[int](), Searches()

    async def one(at: int) -> None:
        found.append((await searches.near(index, axis(at), 1))[0][0])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for at in range(8):
                tasks.start_soon(one, at)
            await until(lambda: bool(index.batches))
            await anyio.wait_all_tasks_blocked()
            index.gate.set()
    assert sorted(found) == list(range(8))
    assert max(index.batches) <= 3
