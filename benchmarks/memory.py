"""Working memory next to others that keep values in files, and what a value costs by how many there are.

All files lie in one folder beside this module, so on one disk, and all sync each commit.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final, Literal

import msgspec

from .memory_sides import Bare, MemorySide, open_bare, open_memories, open_ours
from .names import AIOSQLITE, AIOSQLITE_64, DISKCACHE, OURS, SQLITE
from .report import Row, rows_of
from .rounds import QUIET, Turn, figures_of, run_turns
from .side import IN_FLIGHT, WrongResult
from .works import Work

KEYS: Final = [f"key-{number:06}" for number in range(1000)]
SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS: Final = 5
ONCE: Final = 20_000
"""Items of one round of a size."""
GROWTH: Final = "memory by how many values are kept"
Verb = Literal["get", "put"]


async def gets_per_second(side: MemorySide, count: int) -> float:
    """Return reads a second, of 1,000 keys in turn."""
    keys = _cycled(count)
    begin = time.perf_counter()
    found = await side.get(keys)
    seconds = time.perf_counter() - begin
    if found != count:
        raise WrongResult(f"{side} found {found} of {count} values")
    return count / seconds


async def puts_per_second(side: MemorySide, count: int) -> float:
    """Return writes a second, of 1,000 keys in turn."""
    keys = _cycled(count)
    begin = time.perf_counter()
    await side.put(keys)
    seconds = time.perf_counter() - begin
    if await side.get(KEYS) < min(count, len(KEYS)):
        raise WrongResult(f"{side} lost values")
    return count / seconds


def _cycled(count: int) -> list[str]:
    return [KEYS[number % len(KEYS)] for number in range(count)]


PUT: Final = Work(
    f"memory put, synced, {IN_FLIGHT} in flight", "in one process", "values/s", "higher", puts_per_second,
    {SQLITE: 0.7, AIOSQLITE: None, AIOSQLITE_64: None, DISKCACHE: None}, 50_000.0,
)  # fmt: skip
GET: Final = Work(
    "memory get", "in one process", "values/s", "higher", gets_per_second,
    {SQLITE: None, AIOSQLITE: None, AIOSQLITE_64: None, DISKCACHE: None}, 500_000.0,
)  # fmt: skip


async def measure_memory(only: str, say: Callable[[str], None]) -> list[Row]:
    """Return the rows of those whose name holds `only`."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix=".memory-", dir=Path(__file__).parent) as folder:
        async with open_memories(Path(folder)) as sides:
            for side in sides.values():
                await side.put(KEYS)
            for work in (PUT, GET):
                if only in work.name:
                    turns = await run_turns(work.measure, sides, turns=ROUNDS, seconds=0.5, say=say)  # type: ignore[arg-type]  # not of actors
                    rows += _judged(rows_of(work, figures_of(turns)), turns)
    return [*rows, *(await _measure_growth(say) if only in GROWTH else [])]


def _judged(rows: list[Row], turns: list[Turn]) -> list[Row]:
    """Return the rows; of turns in which other programs were busy, without an aim that could be met or missed."""
    quiet = all(turn.others <= QUIET for turn in turns)
    return rows if quiet else [msgspec.structs.replace(row, unit=f"{row.unit} (not quiet)", reach=None) for row in rows]


async def _measure_growth(say: Callable[[str], None]) -> list[Row]:
    """Return a row for each verb and size, next to the bare table of as many rows."""
    rows: list[Row] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix=".memory-", dir=Path(__file__).parent) as folder:
            bare = open_bare(Path(folder) / "bare.db")
            with closing(bare):
                async with open_ours(Path(folder)) as ours:
                    rows += await _measure_size({OURS: ours, SQLITE: Bare(bare)}, size)
        say(f"{size:,} values: {', '.join(f'{row.unit} {row.ours} and {row.theirs}' for row in rows[-2:])}")
    return sorted(rows, key=lambda row: row.unit[:3])


async def _measure_size(sides: dict[str, MemorySide], size: int) -> list[Row]:
    keys = [f"key-{number:07}" for number in range(size)]
    for side in sides.values():
        await side.put(keys)
    chance, took = random.Random(size), dict[tuple[Verb, str], list[float]]()  # noqa: S311 - repeatable, no secret
    for _ in range(ROUNDS + 1):
        some = chance.choices(keys, k=ONCE)
        for name, side in sides.items():
            took.setdefault(("get", name), []).append(await _each(side.get, some))
            took.setdefault(("put", name), []).append(await _each(side.put, some))
    return [_row(verb, size, took[verb, OURS][1:], took[verb, SQLITE][1:]) for verb in ("get", "put")]


async def _each(do: Callable[[Sequence[str]], object], keys: Sequence[str]) -> float:
    """Return microseconds for each key."""
    begin = time.perf_counter()
    await do(keys)  # type: ignore[misc]  # a coroutine
    return (time.perf_counter() - begin) / len(keys) * 1e6


def _row(verb: Verb, size: int, ours: list[float], theirs: list[float]) -> Row:
    mine, other = median(ours), median(theirs)
    spread = max((max(each) - min(each)) / median(each) for each in (ours, theirs))
    return Row(
        work=GROWTH, unit=f"{verb}, µs each with {size:,} kept", ours=round(mine, 2), peer=SQLITE,
        theirs=round(other, 2), ratio=round(mine / other, 3), better="lower", reach=None,
        spread=round(spread, 3), rounds=len(ours),
    )  # fmt: skip


def curves_of(rows: Sequence[Row]) -> dict[str, list[tuple[int, float]]]:
    """Return what the rows of the growth say as curves: how many are kept, and microseconds."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if row.work == GROWTH:
            verb, size = row.unit.partition(",")[0], int("".join(filter(str.isdigit, row.unit)))
            curves.setdefault(f"{OURS}: {verb}", []).append((size, row.ours))
            curves.setdefault(f"{row.peer}: {verb}", []).append((size, row.theirs))
    return curves
