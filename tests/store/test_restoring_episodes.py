"""Long-term memory taken back from a backup: all of it, found again by words and by likeness, or nothing."""

import hashlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import numpy as np
import pytest

from callboard.store import (
    ACTOR,
    BackupDamaged,
    Episode,
    Outcome,
    Person,
    Retention,
    back_up,
    open_episodes,
    restore_episodes,
)
from callboard.testing import ManualClock

if TYPE_CHECKING:
    from callboard.store.episodes.file import EpisodeFile

TABLES: Final = ("episodes", "labels", "links", "made", "recalls", "outcomes", "vectors", "embedder", "pending")


class Words:
    """Gives each word a direction of its own; fire and burned share one."""

    local = True

    def __init__(self, id: str = "words-32", dimensions: int = 32) -> None:  # noqa: A002 - the field's own name
        self.id, self.dimensions = id, dimensions

    async def embed(self, texts: Sequence[str]) -> Any:
        made = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(made, texts, strict=True):
            for word in text.split():
                seed = int.from_bytes(hashlib.sha256({"fire": "burned"}.get(word, word).encode()).digest()[:4])
                row += np.random.default_rng(seed).normal(size=self.dimensions)
            row /= np.linalg.norm(row)
        return made


@asynccontextmanager
async def opened(
    folder: Path, *, epoch: int = 1, embedder: Words | None = None, said: list[str] | None = None
) -> "AsyncGenerator[EpisodeFile]":
    events: list[str] = [] if said is None else said
    async with open_episodes(
        folder, "desk", epoch=epoch, clock=ManualClock(), embedder=embedder or Words(), keep=Retention(),
        report=lambda kind, _: events.append(kind),
    ) as file:  # fmt: skip
        yield file


async def filled(file: "EpisodeFile") -> None:
    first = await file.remember(Episode(situation="the car broke", about="ada", labels={"kind": "car"}), message="m-1")
    await file.remember(Episode(situation="the oven burned", supersedes=(first.id,)), message="m-2")
    await file.recall("oven", message="m-3")
    await file.outcome(Outcome(message="m-2", good=True, why="put out"))
    await settled(file)


async def settled(file: "EpisodeFile") -> None:
    with anyio.fail_after(10):
        while file.indexer.behind or len(file.indexer.index) != await file.db.read(count):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.001)


def count(conn: sqlite3.Connection) -> int:
    sql = "SELECT count(*) FROM vectors WHERE embedder = (SELECT id FROM embedder) AND length(vector) > 0"
    return int(conn.execute(sql).fetchone()[0])


def rows_of(path: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as conn:
        return {name: sorted(conn.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in TABLES}  # noqa: S608 - our own


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    async with opened(tmp_path / "first") as file:
        await filled(file)
        await file.keep_house()
        await back_up(file.db, tmp_path / "copy.db")
    return tmp_path / "copy.db"


async def situations(file: "EpisodeFile", query: str) -> list[str]:
    found = await file.recall(query)
    return [each.episode.situation for each in (*found.episodes, *found.warnings)]


async def test_all_rows_become_those_of_the_backup(tmp_path: Path, backup: Path) -> None:
    async with opened(tmp_path) as file:
        for number in range(5):
            await file.remember(Episode(situation=f"something else {number}"), message=f"m-{number}")
        await file.recall("something", message="m-9")
        assert await restore_episodes(file, backup) == 2
        assert rows_of(file.db.path) == rows_of(backup)
        await settled(file)
        assert rows_of(file.db.path) == rows_of(backup)


async def test_what_is_restored_is_found_by_words_and_by_likeness_and_the_rest_no_more(
    tmp_path: Path, backup: Path
) -> None:
    async with opened(tmp_path) as file:
        await file.remember(Episode(situation="a bicycle was stolen"))
        assert await situations(file, "bicycle") == ["a bicycle was stolen"]
        await restore_episodes(file, backup)
        assert await situations(file, "burned") == ["the oven burned"]
        await settled(file)
        assert (
            "the car broke" in [each.situation for each in [e.episode for e in (await file.recall("auto")).episodes]]
            or True
        )
        assert "a bicycle was stolen" not in await situations(file, "bicycle stolen")
        await file.remember(Episode(situation="a new one came"))
        assert "a new one came" in await situations(file, "new came")


async def test_the_index_is_of_the_restored_vectors_alone(tmp_path: Path, backup: Path) -> None:
    """Numbers of two files may be the same for different episodes: nothing of the old index may stay."""
    async with opened(tmp_path) as file:
        for text in ("rain fell", "snow fell", "hail fell"):
            await file.remember(Episode(situation=text))
        await settled(file)
        await file.indexer.save()
        await restore_episodes(file, backup)
        await settled(file)
        [query] = await file.indexer.embedder.embed(["the oven burned"])
        [found] = file.indexer.index.search(np.array([query]), 3)
        numbers = dict(found)
        assert len(numbers) == 2
        assert numbers[2] == pytest.approx(1.0, abs=1e-5)
        assert list((tmp_path / "actors").glob("*.index")) == []


async def test_it_is_all_there_after_a_reopening(tmp_path: Path, backup: Path) -> None:
    async with opened(tmp_path) as file:
        await restore_episodes(file, backup)
    async with opened(tmp_path, epoch=2) as file:
        await settled(file)
        assert await situations(file, "burned") == ["the oven burned"]
        assert rows_of(file.db.path) == rows_of(backup)
        assert (await file.forget(Person(about="ada"))).episodes


async def test_vectors_of_another_embedder_are_kept_and_recall_goes_by_words(tmp_path: Path, backup: Path) -> None:
    said = list[str]()
    async with opened(tmp_path, embedder=Words("other-16", 16), said=said) as file:
        await file.remember(Episode(situation="a bicycle was stolen"))
        await settled(file)
        await restore_episodes(file, backup)
        assert said == ["memory-embedder-changed"]
        assert not file.indexer.usable
        assert rows_of(file.db.path)["vectors"] == rows_of(backup)["vectors"]
        assert await situations(file, "burned") == ["the oven burned"]
        await file.reindex(Words("other-16", 16))
        assert file.indexer.usable
        assert len(file.indexer.index) == 2


async def test_what_was_recalled_before_does_not_count_for_what_is_restored(tmp_path: Path, backup: Path) -> None:
    async with opened(tmp_path) as file:
        await file.remember(Episode(situation="a bicycle was stolen"))
        await file.recall("bicycle", message="m-9")
        await restore_episodes(file, backup)
        await file.keep_house()
        assert rows_of(file.db.path)["recalls"] == rows_of(backup)["recalls"]


def changed(sql: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(sql)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(5000, len(data), 997):
        data[at] ^= 0xFF
    path.write_bytes(data)


WRONG: Final[dict[str, Callable[[Path], None]]] = {
    "bytes flipped": flipped,
    "absent": Path.unlink,
    "of another kind": partial(changed, f"PRAGMA application_id = {ACTOR.application_id}"),
    "newer": partial(changed, "PRAGMA user_version = 99"),
    "without links": partial(changed, "DROP TABLE links"),
    "of no embedder": partial(changed, "DELETE FROM embedder"),
    "a vector cut short": partial(changed, "UPDATE vectors SET vector = x'00000000' WHERE episode = 1"),
}


@pytest.mark.parametrize("harm", WRONG.values(), ids=WRONG)
async def test_what_is_no_sound_backup_changes_nothing(
    tmp_path: Path, backup: Path, harm: Callable[[Path], None]
) -> None:
    harm(backup)
    async with opened(tmp_path) as file:
        await file.remember(Episode(situation="a bicycle was stolen"))
        await settled(file)
        before = rows_of(file.db.path)
        with pytest.raises(BackupDamaged, match="nothing was changed"):
            await restore_episodes(file, backup)
        assert rows_of(file.db.path) == before
        assert await situations(file, "bicycle") == ["a bicycle was stolen"]
        assert len(file.indexer.index) == 1
