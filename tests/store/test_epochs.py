"""Epochs only rise, and an actor's file keeps the highest it has seen."""

import stat
import threading
from pathlib import Path

import anyio
import pytest

from callboard.clock import SystemClock
from callboard.errors import InvalidName, WorldError, from_wire
from callboard.store import (
    DAEMON,
    ActorFile,
    Database,
    DatabaseCorrupt,
    Epochs,
    Fenced,
    NotDurable,
    OwnerConflict,
)


async def test_each_name_counts_its_own_epochs_across_reopenings(tmp_path: Path) -> None:
    for first in (0, 2):
        async with Database.open(tmp_path / "daemon.db", migrations=DAEMON) as db:
            epochs = Epochs(db)
            assert await epochs.current("triage") == first
            assert [await epochs.next("triage") for _ in range(2)] == [first + 1, first + 2]
            assert await epochs.current("other") == 0


async def test_no_epoch_is_given_twice(tmp_path: Path) -> None:
    given = list[int]()
    async with Database.open(tmp_path / "daemon.db", migrations=DAEMON) as db:
        epochs = Epochs(db)

        async def take() -> None:
            given.append(await epochs.next("triage"))

        async with anyio.create_task_group() as tasks:
            for _ in range(64):
                tasks.start_soon(take)
    assert sorted(given) == list(range(1, 65))


async def test_epochs_refuse_a_database_that_does_not_sync(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "daemon.db", migrations=DAEMON, synchronous="NORMAL") as db:
        with pytest.raises(NotDurable, match="FULL"):
            Epochs(db)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def epoch_of(state: Path, epoch: int) -> int:
    async with ActorFile.open(state, "triage", epoch=epoch, clock=SystemClock()) as file:
        return file.epoch


async def test_an_actors_file_refuses_a_lower_epoch(tmp_path: Path) -> None:
    assert [await epoch_of(tmp_path, epoch) for epoch in (1, 3, 3)] == [1, 3, 3]
    with pytest.raises(Fenced) as caught:
        await epoch_of(tmp_path, 2)
    assert isinstance(caught.value, WorldError)
    assert (caught.value.detail["epoch"], caught.value.detail["stored"]) == (2, 3)
    assert await epoch_of(tmp_path, 4) == 4


async def test_an_actors_file_has_one_owner_and_gives_its_memory(tmp_path: Path) -> None:
    before = threading.enumerate()
    async with ActorFile.open(tmp_path, "triage", epoch=1, clock=SystemClock()) as file:
        await file.memory.put("key", 1)
        with pytest.raises(OwnerConflict, match=r"triage\.db"):
            await epoch_of(tmp_path, 2)
    assert threading.enumerate() == before
    assert names(tmp_path / "actors") == ["triage.db", "triage.db.lock"]
    assert stat.S_IMODE((tmp_path / "actors").stat().st_mode) == 0o700
    async with ActorFile.open(tmp_path, "triage", epoch=2, clock=SystemClock()) as file:
        assert await file.memory.get("key", int) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "a\n", "", "A", "a" * 64])
async def test_an_actors_file_cannot_lie_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        async with ActorFile.open(tmp_path, name, epoch=1, clock=SystemClock()):
            pass
    assert names(tmp_path) == []


async def test_the_stores_errors_cross_the_wire(tmp_path: Path) -> None:
    (tmp_path / "daemon.db").write_text("nothing like a database" * 100)
    with pytest.raises(DatabaseCorrupt) as caught:
        async with Database.open(tmp_path / "daemon.db", migrations=DAEMON):
            pass
    again = from_wire(caught.value.code, caught.value.text, caught.value.detail)
    assert (type(again), again.text, again.detail) == (
        DatabaseCorrupt,
        caught.value.text,
        caught.value.detail,
    )
