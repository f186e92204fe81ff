"""The vectors in memory, to be searched: the one door of hnswlib.

hnswlib checks little: it may not search while it adds, stores vectors of zeros and NaN, raises and leaks if there is
less than was asked for, and writes past its memory when a file lies about itself. So all calls are made under one lock,
vectors are checked here, and only files whose digest was written down are loaded (:mod:`.snapshot`).
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import BadVector

if TYPE_CHECKING:
    from .embedder import Vectors

M: Final = 16
EF_CONSTRUCTION: Final = 100
EF_LEAST: Final = 64
"""Candidates kept in a search: with these three 50,000 clustered vectors of 256 are found with recall@10 above 0.99."""
ROOM: Final = 1024
THREADS: Final = 2
_GROWTH: Final = 1.5


class VectorIndex:
    """Unit vectors by number, compared by cosine. For any thread; one call at a time."""

    def __init__(self, dimensions: int, *, room: int = ROOM) -> None:
        self.dimensions = dimensions
        self._lock = threading.Lock()
        self._index = _new(dimensions)
        self._index.init_index(max_elements=room, M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        self.numbers: set[int] = set()
        """Of those that are found."""
        self.removed = 0
        """How many are only marked as gone, and take their room."""

    @classmethod
    def load(cls, path: Path, dimensions: int, *, count: int) -> "VectorIndex":
        """Return what :meth:`save` wrote; the caller vouches for the file, which hnswlib does not check."""
        self = cls(dimensions, room=1)
        # Naming the room keeps hnswlib from believing the file's own number.
        self._index.load_index(str(path), max_elements=max(ROOM, int(count * _GROWTH)))
        self.numbers = set(self._index.get_ids_list())
        return self

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, numbers: Sequence[int], vectors: "Vectors") -> None:
        """Add vectors under new numbers; raises BadVector and adds none if one is not of unit length."""
        check(vectors, self.dimensions)
        if not numbers:
            return
        with self._lock:
            taken = len(self.numbers) + self.removed + len(numbers)
            if taken > self._index.get_max_elements():
                self._index.resize_index(int(taken * _GROWTH))
            self._index.add_items(vectors, numbers, num_threads=THREADS)
            self.numbers.update(numbers)

    def remove(self, number: int) -> None:
        """Find a vector no more; nothing happens if it is not there."""
        with self._lock:
            if number in self.numbers:
                self._index.mark_deleted(number)
                self.numbers.discard(number)
                self.removed += 1

    def search(self, queries: "Vectors", most: int) -> list[list[tuple[int, float]]]:
        """Return for each query up to `most` numbers and their cosines, the nearest first."""
        check(queries, self.dimensions)
        with self._lock:
            k = min(most, len(self.numbers))
            if k == 0:
                return [[] for _ in queries]
            try:
                self._index.set_ef(max(EF_LEAST, k))
                numbers, distances = self._index.knn_query(queries, k=k, num_threads=THREADS)
            except RuntimeError:  # it came to fewer than there are: some are not linked to the rest
                return self._compare_all(queries, k)
        return [
            list(zip(row, near, strict=True))
            for row, near in zip(numbers.tolist(), (1.0 - distances).tolist(), strict=True)
        ]

    def likeness(self, query: "Vectors", numbers: Sequence[int]) -> dict[int, float]:
        """Return the exact cosine of one query with each of these numbers that has a vector."""
        with self._lock:
            here = [number for number in numbers if number in self.numbers]
            if not here:
                return {}
            return dict(zip(here, (self._vectors(here) @ query).tolist(), strict=True))

    def save(self, path: Path) -> int:
        """Write the index to a file and return how long that must be: hnswlib does not notice a full disk."""
        with self._lock:
            self._index.save_index(str(path))
            return int(self._index.index_file_size())

    def _vectors(self, numbers: list[int]) -> "Vectors":
        return self._index.get_items(numbers, return_type="numpy")  # type: ignore[no-any-return]  # untyped

    def _compare_all(self, queries: "Vectors", k: int) -> list[list[tuple[int, float]]]:
        numbers = list(self.numbers)
        near = queries @ self._vectors(numbers).T
        best = (-near).argsort(axis=1)[:, :k]
        return [[(numbers[at], float(row[at])) for at in places] for row, places in zip(near, best, strict=True)]


def check(vectors: "Vectors", dimensions: int) -> None:
    """Raise BadVector unless all are finite, of unit length, and of this width."""
    import numpy as np

    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise BadVector(f"vectors of shape {vectors.shape}: each must have {dimensions} numbers")
    lengths = np.linalg.norm(vectors, axis=1)
    if not bool(np.all(np.abs(lengths - 1.0) < 1e-3)):  # NaN and infinity are not near 1 either
        raise BadVector("a vector is not finite, or not of length 1: an embedder must scale what it gives")


def _new(dimensions: int) -> Any:
    import hnswlib  # type: ignore[import-untyped]  # it has no types

    return hnswlib.Index(space="ip", dim=dimensions)
