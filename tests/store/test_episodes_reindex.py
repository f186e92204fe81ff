"""Reindex: another embedder's vectors are made beside the old ones, and count from one moment on."""

import sqlite3
from pathlib import Path

import anyio
import pytest

from callboard.errors import CallboardError
from callboard.store.episodes.file import EpisodeFile

from .embedders import LIES, Fake, Gated, Narrow, zeros
from .remembered import indexed, opened, situations, told, until


async def filled(memory: EpisodeFile, count: int = 100) -> None:
    for at in range(count):
        await memory.remember(told(f"shelf {at} was empty"))
    await indexed(memory, count)


def embedders_of(folder: Path) -> tuple[str, set[str]]:
    """Return whose vectors count, and whose are stored."""
    conn = sqlite3.connect(folder / "actors" / "a.episodes.db")
    [(counts,)] = conn.execute("SELECT id FROM embedder").fetchall()
    stored = {str(name) for (name,) in conn.execute("SELECT DISTINCT embedder FROM vectors")}
    conn.close()
    return str(counts), stored


@pytest.mark.parametrize("other", [Fake(id="next"), Narrow()], ids=lambda each: each.id)
async def test_another_embedder_counts_afterwards(tmp_path: Path, other: Fake) -> None:
    async with opened(tmp_path) as memory:
        await filled(memory)
        seen = list[int]()
        assert await memory.reindex(other, progress=seen.append) == 100
        assert seen == [64, 100]
        found = await memory.recall("shelf 7 empty", 1)
        assert (found.by, situations(found)) == ("words and vectors", ["shelf 7 was empty"])
        await memory.remember(told("made by the new one"))
        await indexed(memory, 101)
    assert embedders_of(tmp_path) == (other.id, {other.id})
    async with opened(tmp_path, embedder=other) as memory:
        await indexed(memory, 101)


async def test_it_ends_a_time_of_words_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await filled(memory, 10)
    async with opened(tmp_path, embedder=Narrow()) as memory:
        await memory.remember(told("meanwhile"))
        assert (await memory.recall("meanwhile")).by == "words"
        assert await memory.reindex(Narrow()) == 11
        assert (await memory.recall("meanwhile")).by == "words and vectors"


async def test_recall_goes_on_by_the_old_vectors_meanwhile(tmp_path: Path) -> None:
    other = Gated(id="next")
    async with opened(tmp_path) as memory:
        await filled(memory)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.reindex, other)
            await other.came.wait()
            found = await memory.recall("shelf 7 empty", 1)
            assert (found.by, situations(found)) == ("words and vectors", ["shelf 7 was empty"])
            await memory.remember(told("came meanwhile"))
            await indexed(memory, 101)
            other.gate.set()
        assert memory.indexer.embedder.id == "next"
        await indexed(memory, 101)
        assert situations(await memory.recall("came meanwhile", 1)) == ["came meanwhile"]


@pytest.mark.parametrize("turns", range(0, 150, 15))
async def test_recalls_at_the_moment_of_the_change_compare_like_with_like(tmp_path: Path, turns: int) -> None:
    async with opened(tmp_path) as memory:
        await filled(memory, 70)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.reindex, Narrow())

            async def recall(start: int) -> None:
                for at in range(start, start + 15):
                    found = await memory.recall(f"shelf {at} empty", 70)
                    assert any(each.episode.situation == f"shelf {at} was empty" for each in found.episodes)
                    assert all(each.likeness is None or -1.001 < each.likeness < 1.001 for each in found.episodes)

            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            for start in range(0, 60, 15):
                tasks.start_soon(recall, start)
        assert memory.indexer.embedder.id == "narrow-8"


@pytest.mark.parametrize("turns", range(0, 200, 10))
async def test_who_leaves_during_it_mixes_nothing(tmp_path: Path, turns: int) -> None:
    """Before the change the old ones count, after it the new ones, in the file and in memory alike."""
    async with opened(tmp_path) as memory:
        await filled(memory, 70)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.reindex, Fake(id="next"))
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await memory.remember(told("afterwards"))
        await indexed(memory, 71)
        id = memory.indexer.embedder.id  # noqa: A001 - the field's own name
    counts, stored = embedders_of(tmp_path)
    assert counts == id
    assert stored == {"next"} if id == "next" else stored <= {id, "next"}
    async with opened(tmp_path, embedder=Fake(id=id)) as memory:
        await indexed(memory, 71)
        assert await memory.reindex(Fake(id="next")) <= 71


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie is not zeros], ids=lambda lie: lie.__name__)
async def test_a_lie_leaves_the_old_ones_in_force(tmp_path: Path, lie: object) -> None:
    async with opened(tmp_path) as memory:
        await filled(memory, 20)
        with pytest.raises(CallboardError):
            await memory.reindex(Fake(id="next", lie=lie))  # type: ignore[arg-type]  # one of LIES
        assert (await memory.recall("shelf 7")).by == "words and vectors"
    assert embedders_of(tmp_path) == ("fake-256", {"fake-256"})


async def test_what_was_made_before_it_failed_is_not_made_again(tmp_path: Path) -> None:
    other = Fake(id="next")

    def fail(_: int) -> None:
        other.away = True

    async with opened(tmp_path) as memory:
        await filled(memory)
        with pytest.raises(CallboardError, match="away"):
            await memory.reindex(other, progress=fail)
        other.away = False
        assert await memory.reindex(other) == 36
        assert len(other.asked) == 100


async def test_two_at_once_end_with_one_embedder(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await filled(memory, 70)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(memory.reindex, Fake(id="b"))
                tasks.start_soon(memory.reindex, Narrow())
        await memory.remember(told("afterwards"))
        await indexed(memory, 71)
        id = memory.indexer.embedder.id  # noqa: A001 - the same
        assert (await memory.recall("shelf 7")).by == "words and vectors"
    assert embedders_of(tmp_path) == (id, {id})


async def test_the_same_embedder_once_more_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await filled(memory, 30)
        assert await memory.reindex(Fake()) == 0
        await until(lambda: len(memory.indexer.index) == 30)
