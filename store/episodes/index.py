"""The vectors in memory, to be searched: the one door of hnswlib.

hnswlib checks little: it may not search while it adds, stores vectors of zeros and NaN, raises and leaks if there is
less than was asked for, and writes past its memory when a file lies about itself. So all calls are made under one lock,
vectors are checked here, and only files whose digest was written down are loaded (:mod:`.snapshot`).

Some hundred equal vectors would be linked to each other alone, and a search that comes among them finds no way out. So
equal ones, of the same situation remembered with another end, are one node.
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
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
_PART: Final = 10_000


class VectorIndex:
    """Unit vectors by number, compared by cosine. For any thread; one call at a time."""

    def __init__(self, dimensions: int, *, room: int = ROOM, file: Path | None = None) -> None:
        self.dimensions = dimensions
        self._lock = threading.Lock()
        self._index = _new(dimensions)
        if file is None:
            self._index.init_index(max_elements=room, M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        else:  # naming the room keeps hnswlib from believing the file's own number
            self._index.load_index(str(file), max_elements=room)
        self.numbers: set[int] = set()
        """Of those that are found."""
        self.removed = 0
        """How many nodes are only marked as gone, and take their room."""
        self._nodes: dict[bytes, int] = {}
        """By the digest of their vector."""
        self._node_of: dict[int, int] = {}
        """Of a number that has not one of its own."""
        self._numbers_at: dict[int, list[int]] = {}
        """Of a node that is not of its own number alone."""

    @classmethod
    def load(cls, path: Path, dimensions: int, *, count: int) -> "VectorIndex":
        """Return what :meth:`save` wrote; the caller vouches for the file, which hnswlib does not check.

        Of numbers whose vectors are equal it has one: the others are to be added again.
        """
        self = cls(dimensions, room=max(ROOM, int(count * _GROWTH)), file=path)
        numbers = self._index.get_ids_list()
        for start in range(0, len(numbers), _PART):
            part = numbers[start : start + _PART]
            self._nodes.update(zip(map(_digest, self._vectors(part)), part, strict=True))
        self.numbers = set(numbers)
        return self

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, numbers: Sequence[int], vectors: "Vectors") -> None:
        """Add vectors under new numbers; raises BadVector and adds none if one is not of unit length."""
        check(vectors, self.dimensions)
        if not numbers:
            return
        with self._lock:
            new = [at for at, number in enumerate(numbers) if self._is_new(number, vectors[at])]
            taken = len(self._nodes) + self.removed
            if taken > self._index.get_max_elements():
                self._index.resize_index(int(taken * _GROWTH))
            if new:
                self._index.add_items(vectors[new], [numbers[at] for at in new], num_threads=THREADS)
            self.numbers.update(numbers)

    def _is_new(self, number: int, vector: "Vectors") -> bool:
        """Let a number share the node of its vector, if there is one; else it gets one."""
        node = self._nodes.setdefault(_digest(vector), number)
        if node != number:
            self._node_of[number] = node
            self._numbers_at.setdefault(node, [node]).append(number)
        return node == number

    def remove(self, numbers: Iterable[int]) -> set[int]:
        """Find these no more; return which were there."""
        with self._lock:
            gone = self.numbers.intersection(numbers)
            for number in gone:
                self._take_out(number)
            self.numbers -= gone
        return gone

    def _take_out(self, number: int) -> None:
        node = self._node_of.pop(number, number)
        others = self._numbers_at.get(node, [number])
        others.remove(number)
        if not others:
            self._numbers_at.pop(node, None)
            del self._nodes[_digest(self._vectors([node])[0])]
            self._index.mark_deleted(node)
            self.removed += 1

    def search(self, queries: "Vectors", most: int) -> list[list[tuple[int, float]]]:
        """Return for each query up to `most` numbers and their cosines, the nearest first."""
        check(queries, self.dimensions)
        with self._lock:
            k = min(most, len(self._nodes))
            if k == 0:
                return [[] for _ in queries]
            try:
                self._index.set_ef(max(EF_LEAST, k))
                numbers, distances = self._index.knn_query(queries, k=k, num_threads=THREADS)
            except RuntimeError:  # it came to fewer than there are: some are not linked to the rest
                return self._compare_all(queries, most)
            rows = zip(numbers.tolist(), (1.0 - distances).tolist(), strict=True)
            return [self._expanded(row, near, most) for row, near in rows]

    def _expanded(self, nodes: list[int], near: list[float], most: int) -> list[tuple[int, float]]:
        """Return the numbers at nodes."""
        if not self._numbers_at:
            return list(zip(nodes, near, strict=True))
        both = zip(nodes, near, strict=True)
        return [(number, each) for node, each in both for number in self._numbers_at.get(node, (node,))][:most]

    def likeness(self, query: "Vectors", numbers: Sequence[int]) -> dict[int, float]:
        """Return the exact cosine of one query with each of these numbers that has a vector."""
        with self._lock:
            here = [number for number in numbers if number in self.numbers]
            if not here:
                return {}
            nodes = [self._node_of.get(number, number) for number in here] if self._node_of else here
            return dict(zip(here, (self._vectors(nodes) @ query).tolist(), strict=True))

    def save(self, path: Path) -> int:
        """Write the index to a file and return how long that must be: hnswlib does not notice a full disk."""
        with self._lock:
            self._index.save_index(str(path))
            return int(self._index.index_file_size())

    def _vectors(self, numbers: list[int]) -> "Vectors":
        return self._index.get_items(numbers, return_type="numpy")  # type: ignore[no-any-return]  # untyped

    def _compare_all(self, queries: "Vectors", most: int) -> list[list[tuple[int, float]]]:
        nodes = list(self._nodes.values())
        near = queries @ self._vectors(nodes).T
        best = (-near).argsort(axis=1)[:, :most]
        return [
            self._expanded([nodes[at] for at in places], [float(row[at]) for at in places], most)
            for row, places in zip(near, best, strict=True)
        ]


def _digest(vector: "Vectors") -> bytes:
    return hashlib.blake2b(vector.tobytes(), digest_size=16).digest()


def check(vectors: "Vectors", dimensions: int) -> None:
    """Raise BadVector unless all are finite, of unit length, and of this width."""
    import numpy as np

    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise BadVector(f"vectors of shape {vectors.shape}: each must have {dimensions} numbers")
    with np.errstate(all="ignore"):  # what overflows is not near 1
        lengths = np.linalg.norm(vectors, axis=1)
    if not bool(np.all(np.abs(lengths - 1.0) < 1e-3)):  # NaN and infinity are not near 1 either
        raise BadVector("a vector is not finite, or not of length 1: an embedder must scale what it gives")


def _new(dimensions: int) -> Any:
    import hnswlib  # type: ignore[import-untyped]  # it has no types

    return hnswlib.Index(space="ip", dim=dimensions)
