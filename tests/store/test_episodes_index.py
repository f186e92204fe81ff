"""The index of vectors: it finds what comparing all would find, and takes in nothing that cannot be compared."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.store import BadVector
from callboard.store.episodes.index import VectorIndex

if TYPE_CHECKING:
    from callboard.store.episodes.embedder import Vectors


def units(count: int, width: int = 16, *, seed: int = 1) -> "Vectors":
    made = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    rows: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    return rows


def index_of(rows: "Vectors") -> VectorIndex:
    index = VectorIndex(rows.shape[1])
    index.add(list(range(len(rows))), rows)
    return index


def compared(rows: "Vectors", query: "Vectors", living: set[int], most: int) -> list[int]:
    near = rows @ query
    return sorted(living, key=lambda at: -near[at])[:most]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 120), most=st.integers(1, 150), seed=st.integers(0, 1000), gone=st.sets(st.integers(0, 119))
)
def test_a_search_finds_what_comparing_all_finds(count: int, most: int, seed: int, gone: set[int]) -> None:
    rows, query = units(count, seed=seed), units(1, seed=seed + 5000)
    index = index_of(rows)
    assert index.remove(gone) == gone & set(range(count))
    living = set(range(count)) - gone
    [found] = index.search(query, most)
    assert [number for number, _ in found] == compared(rows, query[0], living, most)
    assert all(abs(near - rows[number] @ query[0]) < 1e-4 for number, near in found)
    assert index.likeness(query[0], range(200)).keys() == living


def test_a_thousand_equal_vectors_hide_no_other_one() -> None:
    rows = np.vstack([np.repeat(units(1), 1000, axis=0), units(60, seed=2)])
    index = index_of(rows)
    for at in range(1000, 1060):
        assert index.search(rows[at : at + 1], 1)[0][0][0] == at
    assert len(index.search(rows[:1], 1060)[0]) == 1060


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, 3.0, 3e38], ids=str)
def test_what_cannot_be_compared_is_refused_whole(bad: float) -> None:
    rows = units(3)
    index = index_of(rows)
    more = units(2, seed=3)
    more[1] = bad
    with pytest.raises(BadVector):
        index.add([7, 8], more)
    with pytest.raises(BadVector):
        index.search(more, 1)
    assert index.numbers == {0, 1, 2}


def test_another_width_is_refused() -> None:
    index = index_of(units(3))
    for rows in (units(1, 15), units(1, 17)):
        with pytest.raises(BadVector, match="16 numbers"):
            index.add([9], rows)
        with pytest.raises(BadVector, match="16 numbers"):
            index.search(rows, 1)


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex(16)
    assert index.search(units(2), 5) == [[], []]
    assert index.likeness(units(1)[0], [1]) == {}
    index.add([1], units(1))
    index.remove([1])
    assert index.search(units(1), 5) == [[]]


def test_it_is_loaded_as_it_was_saved_and_grows_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = units(1500)
    saved = index_of(rows)
    assert saved.save(tmp_path / "index") == (tmp_path / "index").stat().st_size
    index = VectorIndex.load(tmp_path / "index", 16, count=3)
    assert index.numbers == saved.numbers
    assert index.search(rows[:50], 5) == saved.search(rows[:50], 5)
    index.add(list(range(1500, 3000)), units(1500, seed=9))
    assert len(index) == 3000
    assert index.search(rows[7:8], 1)[0][0][0] == 7
    assert capfd.readouterr() == ("", ""), "hnswlib prints when an index is loaded over another one"


def test_searches_go_on_while_vectors_are_added_and_removed() -> None:
    rows = units(3000)
    index = index_of(rows[:500])
    wrong, done = list[str](), threading.Event()

    def search() -> None:
        while not done.is_set():
            for at, found in zip(range(100), index.search(rows[:100], 3), strict=True):
                if found[0][0] != at or len({number for number, _ in found}) != 3:
                    wrong.append(f"{at}: {found}")

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(500, 3000, 100):
        index.add(list(range(start, start + 100)), rows[start : start + 100])
        index.remove(range(start, start + 10))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == 3000 - 250


def test_equal_vectors_outlive_each_other_also_in_a_file(tmp_path: Path) -> None:
    rows = np.vstack([units(1), units(1), units(1), units(2, seed=2)])
    index = index_of(rows)
    index.remove([0])
    assert {number for number, _ in index.search(rows[:1], 2)[0]} == {1, 2}
    assert index.removed == 0
    index.save(tmp_path / "index")
    loaded = VectorIndex.load(tmp_path / "index", 16, count=4)
    loaded.remove(loaded.numbers - {1, 2, 3, 4})
    loaded.add([1, 2], rows[1:3])
    assert {number for number, _ in loaded.search(rows[:1], 2)[0]} == {1, 2}
    loaded.remove([1, 2])
    assert loaded.search(rows[:1], 9)[0][0][0] in {3, 4}
    assert loaded.numbers == {3, 4}
