"""The snapshot: written whole, loaded only as it was written, and never needed."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from callboard.store.episodes import indexer as indexer_module
from callboard.store.episodes import snapshot
from callboard.store.episodes.file import EpisodeFile

from .remembered import indexed, opened, told, until


def files(folder: Path) -> list[str]:
    """Return the files beside the database."""
    return sorted(path.name for path in folder.rglob("*") if path.suffix in {".index", ".part"})


def path_of(folder: Path) -> Path:
    [name] = files(folder)
    return folder / "actors" / name


async def saved(folder: Path, count: int = 60) -> None:
    async with opened(folder) as memory:
        for at in range(count):
            await memory.remember(told(f"train {at} was late"))
        await indexed(memory, count)
        await memory.indexer.save()


async def assert_as_new(memory: EpisodeFile, count: int = 60) -> None:
    await indexed(memory, count)
    for at in range(0, count, 7):
        [best, *_] = (await memory.recall(f"train {at} late", 1)).episodes
        assert best.episode.situation == f"train {at} was late"


async def test_it_is_loaded_as_it_was_written(tmp_path: Path) -> None:
    await saved(tmp_path)
    assert stat.S_IMODE(path_of(tmp_path).stat().st_mode) == 0o600
    said = list[str]()
    async with opened(tmp_path, said=said) as memory:
        assert len(memory.indexer.index) == 60, "at once, before the indexer has run"
        await assert_as_new(memory)
        await memory.remember(told("one more"))
        await indexed(memory, 61)
    assert said == []


@pytest.mark.parametrize(
    "at", [0, 4, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 95, 96, 100, 0.3, 0.5, 0.7, 0.99, -9, -1]
)
async def test_a_changed_byte_is_seen(tmp_path: Path, at: float) -> None:
    """The header of hnswlib has 96 bytes; then come nodes, and their upper levels."""
    await saved(tmp_path)
    path = path_of(tmp_path)
    data = bytearray(path.read_bytes())
    place = at if isinstance(at, int) else int(len(data) * at)
    data[place] ^= 0xFF
    path.write_bytes(data)
    said = list[str]()
    async with opened(tmp_path, said=said) as memory:
        await assert_as_new(memory)
    assert said == ["memory-index-damaged"]


@pytest.mark.parametrize("left", [0, 1, 50, 96, 0.5, -1], ids=str)
async def test_a_file_that_is_too_short_is_seen(tmp_path: Path, left: float) -> None:
    await saved(tmp_path)
    path = path_of(tmp_path)
    size = path.stat().st_size
    os.truncate(path, left % size if isinstance(left, int) else int(size * left))
    said = list[str]()
    async with opened(tmp_path, said=said) as memory:
        await assert_as_new(memory)
    assert said == ["memory-index-damaged"]


@pytest.mark.parametrize("how", ["gone", "longer", "folder", "another's", "an older one's", "a link to nothing"])
async def test_another_file_in_its_place_is_seen(tmp_path: Path, how: str) -> None:
    await saved(tmp_path)
    path, said = path_of(tmp_path), list[str]()
    older = path.read_bytes()
    if how == "longer":
        path.write_bytes(older + b"\0")
    elif how == "an older one's":
        async with opened(tmp_path) as memory:
            await memory.remember(told("one more"))
            await indexed(memory, 61)
            await memory.indexer.save()
        path_of(tmp_path).write_bytes(older)
    else:
        path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "another's":
        await saved(tmp_path / "other", 61)
        shutil.copy(path_of(tmp_path / "other"), path)
    elif how == "a link to nothing":
        path.symlink_to(tmp_path / "nowhere")
    async with opened(tmp_path, said=said) as memory:
        await assert_as_new(memory, 61 if how == "an older one's" else 60)
    assert said == ["memory-index-damaged"]


async def test_files_that_no_row_names_are_deleted(tmp_path: Path) -> None:
    """A newer one whose row was not committed, a draft, an old one: of this actor alone."""
    await saved(tmp_path)
    path = path_of(tmp_path)
    for name in ("a.episodes.2.index", "a.episodes.2.part", "a.episodes.0.index", "ab.episodes.1.index", "a.db"):
        shutil.copy(path, path.with_name(name))
    said = list[str]()
    async with opened(tmp_path, said=said) as memory:
        await assert_as_new(memory)
        await memory.indexer.save()
        assert files(tmp_path) == ["a.episodes.2.index", "ab.episodes.1.index"]
        assert path.with_name("a.db").exists()
    assert said == []


async def test_one_without_a_row_is_not_loaded(tmp_path: Path) -> None:
    await saved(tmp_path)
    with sqlite3.connect(tmp_path / "actors" / "a.episodes.db") as conn:
        conn.execute("DELETE FROM snapshot")
    conn.close()
    async with opened(tmp_path) as memory:
        assert files(tmp_path) == []
        await assert_as_new(memory)


async def test_what_has_gone_since_is_not_found(tmp_path: Path) -> None:
    await saved(tmp_path)
    with sqlite3.connect(tmp_path / "actors" / "a.episodes.db") as conn:
        conn.execute("DELETE FROM vectors WHERE episode <= 10")
    conn.close()
    async with opened(tmp_path) as memory:
        await until(lambda: len(memory.indexer.index) == 50)
        assert memory.indexer.index.numbers == set(range(11, 61))


async def test_equal_vectors_are_all_found_after_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for at in range(50):
            await memory.remember(told("the same happened", cause=f"cause {at}"))
        await indexed(memory, 50)
        await memory.indexer.save()
    async with opened(tmp_path) as memory:
        await indexed(memory, 50)
        assert len((await memory.recall("the same", 50)).episodes) == 50


async def test_it_is_written_when_enough_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "SAVE_FROM", 10)
    async with opened(tmp_path) as memory:
        for at in range(9):
            await memory.remember(told(f"train {at} was late"))
        await indexed(memory, 9)
        await until(lambda: memory.indexer.behind == 0)
        assert files(tmp_path) == []
        for at in range(9, 12):
            await memory.remember(told(f"train {at} was late"))
        await until(lambda: files(tmp_path) == ["a.episodes.1.index"])
        await memory.indexer.keep_up()  # after the one that writes it
        assert (await memory.db.read(snapshot.find)) is not None


FILL_UP: Final = """
import sys
from pathlib import Path
import anyio
from callboard.store import DiskFull
from tests.store.remembered import indexed, opened, told
folder = Path(sys.argv[1])
def fill(room):
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(file.tell() - room)
async def main():
    async with opened(folder) as memory:
        for at in range(100):
            await memory.remember(told(f"train {at} was late"))
        await indexed(memory, 100)
        await memory.indexer.save()
        await memory.remember(told("one more"))
        await indexed(memory, 101)
        fill(60_000)
        try:
            await memory.indexer.save()
        except DiskFull as error:
            print(error.code)
        print(*sorted(path.name for path in (folder / "actors").iterdir() if path.suffix in (".index", ".part")))
        print(len((await memory.recall("train 7 late")).episodes))
    said = []
    async with opened(folder, said=said) as memory:
        (folder / "filler").unlink()
        await indexed(memory, 101)
        await memory.indexer.save()
        print(*sorted(path.name for path in (folder / "actors").iterdir() if path.suffix in (".index", ".part")), *said)
anyio.run(main)
"""


def test_a_full_disk_is_typed_and_leaves_the_snapshot_before(tmp_path: Path) -> None:
    """In a mount namespace of its own, so that the small file system ends with its process."""
    mounted = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"', str(tmp_path)]
    if subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode:
        pytest.skip("cannot mount in a namespace here")
    done = subprocess.run(
        [*mounted, sys.executable, "-c", FILL_UP, str(tmp_path)],
        capture_output=True, text=True, timeout=50, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines() == ["disk-full", "a.episodes.1.index", "5", "a.episodes.2.index"], done.stderr
