"""Forgetting: nothing of a person is left, in any byte of any file, and nothing else goes."""

import sqlite3
from pathlib import Path

import anyio
import numpy as np
import pytest

from callboard.store import InvalidEpisode
from callboard.store.episodes import Filter, Outcome, Person, snapshot
from callboard.store.episodes.file import EpisodeFile

from .embedders import Fake, Gated
from .remembered import indexed, opened, raw, situations, told, until

_ALL = Filter()
NAME = "Zebulon Quux"
TEXT = f"{NAME} owes 4711 crowns to xylophonists"


async def vector_bytes(text: str) -> list[bytes]:
    """Return parts of a vector that are its own: its longest run of numbers, as they lie in any file."""
    row = (await Fake().embed([text]))[0]
    return [row.astype(np.float32).tobytes()]


async def assert_gone(folder: Path) -> None:
    found = raw(folder)
    for word in ("Zebulon", "zebulon", "quux", "Quux", "xylophonist", "4711"):
        assert word.encode() not in found, word
    for part in await vector_bytes(TEXT):
        assert part not in found, "its vector"


async def fill(memory: EpisodeFile, count: int) -> None:
    for at in range(count):
        await memory.remember(told(f"parcel {at} reached its customer"))


async def test_no_byte_of_a_person_is_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await fill(memory, 100)
        kept = await memory.remember(
            told(TEXT, cause="unpaid", about="customer-1", source="mail", labels={"place": "Ys"}), message="m1"
        )
        await fill(memory, 200)
        await indexed(memory, 201)
        await memory.indexer.save()
        await memory.recall("crowns", message="m2")
        assert (await vector_bytes(TEXT))[0] in raw(tmp_path)
        found = await memory.forget(Person(about=NAME))
        assert found.episodes == [kept.id]
        assert any(".index" in place for place in found.places)
        await assert_gone(tmp_path)
        await indexed(memory, 200)
        await until(lambda: not memory.indexer.index.removed)
        await memory.indexer.save()
        await assert_gone(tmp_path)
        assert (await memory.recall("parcel 7")).by == "words and vectors"
        assert NAME not in str(await memory.recall("crowns owed to xylophonists"))
    await assert_gone(tmp_path)


@pytest.mark.parametrize(
    "field",
    [
        {"about": NAME},
        {"source": f"call of {NAME}"},
        {"cause": f"so said {NAME}"},
        {"action": f"wrote to {NAME}"},
        {"outcome": f"{NAME} paid"},
        {"labels": {"who": NAME}},
        {"labels": {NAME: "who"}},
        {"evidence": (f"mail-{NAME}",)},
    ],
    ids=lambda field: next(iter(field)),
)
async def test_a_person_is_found_in_each_field(tmp_path: Path, field: dict[str, object]) -> None:
    async with opened(tmp_path) as memory:
        kept = await memory.remember(told("somebody came", **field))
        other = await memory.remember(told("nobody came"))
        assert (await memory.forget(Person(about=NAME))).episodes == [kept.id]
        assert [row.recalled.id for row in await memory.page(below=99, limit=9, wanted=_ALL)] == [other.id]
        assert NAME.encode() not in raw(tmp_path)


@pytest.mark.parametrize("name", ['Ann "Q" Doe', "O\\Neil", "tab\tname", "Łódź 名 😀", "100%_*?", "x\x00y", "e\u0301"])
async def test_a_name_is_found_letter_by_letter(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as memory:
        for field in ({"labels": {"who": name}}, {"evidence": (name,)}, {"cause": f"by {name}!"}):
            await memory.remember(told(f"it is in {next(iter(field))}", **field))
        await memory.remember(told("100 names, and none of these"))
        assert len((await memory.forget(Person(about=name))).episodes) == 3
        assert (await memory.stats()).episodes == 1


async def test_what_was_said_of_it_goes_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        kept = await memory.remember(told("an invoice was late", about="customer-9"), message="m1")
        other = await memory.remember(told("another invoice was late"), message="m2")
        await memory.outcome(Outcome(message="m1", good=False, why="Zebulon complained", said_by="desk"))
        await memory.outcome(Outcome(message="m2", good=True, why="no complaint", said_by="desk"))
        await memory.outcome(Outcome(message="m3", good=True, why="thanks", said_by=NAME))
        await memory.outcome(Outcome(message="m4", good=True, why=f"{NAME} again", said_by="desk"))
        await memory.forget(Person(id=kept.id))
        assert b"Zebulon complained" not in raw(tmp_path)
        await memory.forget(Person(about=NAME))
        await assert_gone(tmp_path)
        assert (await memory.show(other.id))[0].why == "no complaint"


async def test_one_episode_is_forgotten_by_its_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        kept = await memory.remember(told(TEXT))
        other = await memory.remember(told("Zeppelins fly"))
        await indexed(memory, 2)
        assert (await memory.forget(Person(id=kept.id))).episodes == [kept.id]
        assert (await memory.forget(Person(id=kept.id))).episodes == []
        await assert_gone(tmp_path)
        assert situations(await memory.recall("zeppelins")) == ["Zeppelins fly"]
        assert other.id != kept.id


async def test_forgetting_needs_one_of_both_and_text_that_can_be_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for person in (Person(), Person(about=" "), Person(about="x", id="y"), Person(about="\udc80")):
            with pytest.raises(InvalidEpisode):
                await memory.forget(person)


async def test_the_same_may_be_remembered_again_and_is_new(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await memory.remember(told(TEXT))
        await indexed(memory, 1)
        await memory.forget(Person(about=NAME))
        assert (await memory.remember(told(TEXT))).new
        await indexed(memory, 1)
        assert situations(await memory.recall("crowns")) == [TEXT]


async def test_with_the_embedder_away_the_vector_leaves_the_memory_too(tmp_path: Path) -> None:
    embedder = Fake()
    async with opened(tmp_path, embedder=embedder) as memory:
        await fill(memory, 5)
        await memory.remember(told(TEXT))
        await indexed(memory, 6)
        old = memory.indexer.index
        embedder.away = True
        await memory.remember(told("this one waits"))
        await memory.forget(Person(about=NAME))
        await until(lambda: memory.indexer.index is not old)
        assert memory.indexer.index.removed == 0
        assert memory.indexer.index.numbers == {1, 2, 3, 4, 5}


async def test_what_is_forgotten_while_it_is_embedded_does_not_come_back(tmp_path: Path) -> None:
    embedder = Gated()
    async with opened(tmp_path, embedder=embedder) as memory:
        await memory.remember(told(TEXT))
        await embedder.came.wait()
        await memory.forget(Person(about=NAME))
        embedder.gate.set()
        await memory.remember(told("the next one"))
        await indexed(memory, 1)
        await memory.indexer.save()
        await assert_gone(tmp_path)


@pytest.mark.parametrize("turns", range(0, 60, 6))
async def test_what_is_forgotten_during_a_snapshot_is_not_in_it(tmp_path: Path, turns: int) -> None:
    async with opened(tmp_path) as memory:
        await fill(memory, 40)
        await memory.remember(told(TEXT))
        await indexed(memory, 41)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(memory.indexer.save)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                await memory.forget(Person(about=NAME))
                tasks.start_soon(memory.indexer.save)
        await assert_gone(tmp_path)
    async with opened(tmp_path) as memory:
        await indexed(memory, 40)
    await assert_gone(tmp_path)


@pytest.mark.parametrize("turns", range(0, 200, 20))
async def test_what_is_forgotten_during_a_reindex_is_not_in_it(tmp_path: Path, turns: int) -> None:
    async with opened(tmp_path) as memory:
        await fill(memory, 150)
        await memory.remember(told(TEXT))
        await indexed(memory, 151)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(memory.reindex, Fake(id="next"))
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                await memory.forget(Person(about=NAME))
        await memory.indexer.save()
        await indexed(memory, 150)
        assert memory.indexer.index.removed == 0
        await assert_gone(tmp_path)


async def test_who_leaves_while_it_is_forgotten_leaves_nothing_behind(tmp_path: Path) -> None:
    for turns in range(0, 40, 8):
        async with opened(tmp_path / str(turns)) as memory:
            await fill(memory, 20)
            await memory.remember(told(TEXT))
            await indexed(memory, 21)
            await memory.indexer.save()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(memory.forget, Person(about=NAME))
                for _ in range(turns + 1):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await assert_gone(tmp_path / str(turns))


def impatient(conn: sqlite3.Connection) -> None:
    conn.execute("PRAGMA busy_timeout = 20")


async def test_a_log_that_another_reads_is_not_said_to_be_empty(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await memory.remember(told(TEXT))
        await memory.db.read(impatient)
        reader = sqlite3.connect(memory.db.path)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM episodes").fetchone() == (1,)
        found = await memory.forget(Person(about=NAME))
        reader.close()
        assert any("not emptied" in place for place in found.places)
        found = await memory.forget(Person(about=NAME))
        assert not any("not emptied" in place for place in found.places)
        await assert_gone(tmp_path)


async def test_a_snapshot_that_is_written_meanwhile_does_not_count(tmp_path: Path) -> None:
    """If the process died at this moment, the next one would load what is forgotten."""
    async with opened(tmp_path) as memory:
        await memory.remember(told(TEXT))
        await indexed(memory, 1)
        with memory.indexer.deleting():
            await memory.indexer.save()
            assert await memory.db.read(snapshot.find) is None
        await memory.indexer.save()
        assert await memory.db.read(snapshot.find) is not None
