"""Finding the nearest of 50,000 vectors, 64 searches in flight: ``python -m benchmarks.recall_vectors``.

Takes about two minutes. Ours goes through the store's index and its queue, one task for each search in flight. hnswlib
and faiss get the same vectors, the same M, ef and threads, and batches of 64 from a loop that does nothing else;
sqlite-vec compares all vectors, exactly. Recall@10 of each is printed, by comparison with all.
"""

import argparse
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from statistics import median
from typing import Any, Final

import anyio
import numpy as np
import numpy.typing as npt

from callboard.store.episodes.index import EF_CONSTRUCTION, EF_LEAST, THREADS, M, VectorIndex
from callboard.store.episodes.searches import Searches

from . import report
from .disturbance import Watch
from .names import LIMIT, OURS
from .recall_cost import RESULTS
from .report import Row
from .side import IN_FLIGHT

COUNT, WIDTH, CENTRES, SPREAD = 50_000, 256, 500, 0.7
QUERIES, SLOW_QUERIES, K, ROUNDS = 4_096, 64, 10, 7
RIGHT: Final = 0.99
HNSWLIB, FAISS, SQLITE_VEC = "hnswlib, batches of 64", "faiss HNSW, batches of 64", "sqlite-vec, exact"
_PACKAGES: Final = {HNSWLIB: "hnswlib", FAISS: "faiss", SQLITE_VEC: "sqlite_vec"}
REACH: Final = {HNSWLIB: 0.8, FAISS: None, SQLITE_VEC: None}
WORK: Final = f"nearest {K} of {COUNT:,} vectors, {IN_FLIGHT} in flight"
Vectors = npt.NDArray[np.float32]
Search = Callable[[Vectors], Awaitable[list[list[int]]]]


def clustered(seed: int, count: int) -> Vectors:
    """Return unit vectors about the same centres, whatever the seed."""
    centres = np.random.default_rng(0).standard_normal((CENTRES, WIDTH))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    chance = np.random.default_rng(seed)
    noise = chance.standard_normal((count, WIDTH)) * SPREAD / WIDTH**0.5
    rows = centres[chance.integers(0, CENTRES, count)] + noise
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)  # type: ignore[no-any-return]  # untyped


def ours(vectors: Vectors) -> Search:
    """Return the store's own search, with 64 tasks that ask one after the other."""
    index = VectorIndex(WIDTH, room=COUNT)
    index.add(range(COUNT), vectors)
    searches = Searches()

    async def search(queries: Vectors) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in queries]
        places = iter(range(len(queries)))

        async def keep_asking() -> None:
            for at in places:
                found[at] = [number for number, _ in await searches.near(index, queries[at], K)]

        async with anyio.create_task_group() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.start_soon(keep_asking)
        return found

    return search


def in_batches(find: Callable[[Vectors], Any]) -> Search:
    """Return a search that makes calls of 64 queries."""

    async def search(queries: Vectors) -> list[list[int]]:
        parts = [find(queries[at : at + IN_FLIGHT]) for at in range(0, len(queries), IN_FLIGHT)]
        return np.concatenate(parts).tolist()  # type: ignore[no-any-return]  # untyped

    return search


def hnswlib_itself(vectors: Vectors) -> Search:
    """Return hnswlib with nothing around it."""
    import hnswlib  # type: ignore[import-untyped]  # it has no types

    index = hnswlib.Index(space="ip", dim=WIDTH)
    index.init_index(max_elements=COUNT, M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
    index.add_items(vectors, num_threads=THREADS)
    index.set_ef(EF_LEAST)
    return in_batches(lambda part: index.knn_query(part, k=K, num_threads=THREADS)[0])


def faiss_hnsw(vectors: Vectors) -> Search:
    """Return faiss with the same settings."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexHNSWFlat(WIDTH, M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, EF_LEAST
    index.add(vectors)
    return in_batches(lambda part: index.search(part, K)[1])


def sqlite_vec_table(vectors: Vectors) -> Search:
    """Return sqlite-vec on a table in memory."""
    import sqlite_vec

    conn = sqlite3.connect(":memory:")
    conn.enable_load_extension(True)
    sqlite_vec.load(conn)
    conn.execute(f"CREATE VIRTUAL TABLE v USING vec0(e float[{WIDTH}] distance_metric=cosine)")
    conn.executemany("INSERT INTO v(rowid, e) VALUES (?, ?)", ((at, row.tobytes()) for at, row in enumerate(vectors)))
    sql = "SELECT rowid FROM v WHERE e MATCH ? AND k = ? ORDER BY distance"

    async def search(queries: Vectors) -> list[list[int]]:
        return [[at for (at,) in conn.execute(sql, (row.tobytes(), K))] for row in queries]

    return search


async def measure() -> tuple[list[Row], float]:
    """Return the rows, and how many cores others used at the most: in each round every side has its turn."""
    vectors, queries = clustered(1, COUNT), clustered(2, QUERIES)
    sides = {OURS: ours(vectors)} | {name: made(vectors) for name, made in _peers().items()}
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :K].tolist()
    values: dict[str, list[float]] = {name: [] for name in sides}
    right, others = dict[str, float](), 0.0
    for turn in range(ROUNDS + 1):  # the first one warms up, and tells who is right
        watch = Watch()
        for name, search in sides.items():
            asked = queries[:SLOW_QUERIES] if name == SQLITE_VEC else queries
            begin = time.perf_counter()
            found = await search(asked)
            values[name].append(len(asked) / (time.perf_counter() - begin))
            right[name] = sum(len(set(a) & set(b)) for a, b in zip(found, exact, strict=False)) / K / len(asked)
        shown = ", ".join(f"{name} {each[-1]:,.0f}" for name, each in values.items())
        others = max(others, watch.others())
        _say(f"turn {turn}: others used {watch.others():.2f} cores; {shown}")
    _say(f"recall@{K}: {right}")
    return _rows({name: each[1:] for name, each in values.items()}, right[OURS]), others


def _peers() -> dict[str, Callable[[Vectors], Search]]:
    wanted = {HNSWLIB: hnswlib_itself, FAISS: faiss_hnsw, SQLITE_VEC: sqlite_vec_table}
    found = dict[str, Callable[[Vectors], Search]]()
    for name, made in wanted.items():
        if find_spec(_PACKAGES[name]) is None:
            _say(f"skipped: {name}: it is not installed here")
        elif name == SQLITE_VEC and not hasattr(sqlite3.Connection, "enable_load_extension"):
            _say(f"skipped: {name}: this Python was built without SQLite's extensions")
        else:
            found[name] = made
    return found


def _rows(values: dict[str, list[float]], right: float) -> list[Row]:
    middles = {name: median(each) for name, each in values.items()}
    spreads = {name: (max(each) - min(each)) / middles[name] for name, each in values.items()}
    rows = [
        Row(
            work=WORK, unit="searches/s", ours=round(middles[OURS]), peer=name, theirs=round(middle, 1),
            ratio=round(middles[OURS] / middle, 3), better="higher", reach=REACH[name],
            spread=round(max(spreads[OURS], spreads[name]), 3), rounds=ROUNDS,
        )
        for name, middle in middles.items()
        if name != OURS
    ]  # fmt: skip
    recall = Row(
        work=f"how many of the {K} nearest of {COUNT:,} vectors are found", unit="%",
        ours=round(right * 100, 2), peer=LIMIT, theirs=RIGHT * 100,
        ratio=round(right / RIGHT, 4), better="higher", reach=1.0, spread=0.0, rounds=1,
    )  # fmt: skip
    return [*rows, recall]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and put the rows among the others."""
    argparse.ArgumentParser(prog="python -m benchmarks.recall_vectors", description=__doc__).parse_args()
    rows, others = anyio.run(measure, backend_options={"use_uvloop": True})
    print(report.table(rows, {}))
    report.publish(RESULTS / "latest.json", rows[:-1], others)
    report.publish(RESULTS / "latest.json", rows[-1:], 0.0)  # what is found does not depend on how busy the machine is


if __name__ == "__main__":
    main()
