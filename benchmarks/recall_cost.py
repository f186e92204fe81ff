"""What remembering and recalling cost, from a thousand episodes to 200,000: ``python -m benchmarks.recall_cost``.

Takes about five minutes. Recall is measured end to end, with the default embedder, one at a time, and no question
twice. At 100,000 episodes stands the promise.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import anyio
import msgspec

from . import plot, recall_file, recall_texts, report
from .disturbance import Watch
from .limits import Limit
from .names import LIMIT
from .report import Row

SIZES: Final = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000)
PROMISED_AT: Final = 100_000
QUERIES: Final = 1_000
RESULTS: Final = Path(__file__).parent / "results"
MIDDLE: Final = Limit(f"recall among {PROMISED_AT:,} episodes, one at a time", "ms, median", 15.0)
SLOW: Final = Limit(f"recall among {PROMISED_AT:,} episodes, one at a time", f"ms, p99 of {QUERIES:,}", 50.0)
UNITS: Final = {
    "recall_p50": "ms a recall, median", "remember": "µs an episode, stored", "indexed": "µs an episode, indexed",
}  # fmt: skip


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured with so many episodes; what is remembered is what came since the size before."""

    episodes: int
    recall_p50: float
    """Milliseconds."""
    recall_p99: float
    remember: float
    """Microseconds for one, 64 at a time, until it is in the file."""
    indexed: float
    """Microseconds for one until its vector is made, stored and in the index too."""
    others: float
    """Cores that other programs used meanwhile."""


async def measure(sizes: tuple[int, ...]) -> list[Cost]:
    """Return the curve."""
    curve = list[Cost]()
    async with recall_file.opened() as file:
        for before, size in zip((0, *sizes), sizes, strict=False):
            watch, new = Watch(), range(before, size)
            stored, indexed = await recall_file.remember(file, new)
            queries = [recall_texts.query(number, size) for number in range(QUERIES + 20)]
            await recall_file.recalls(file, queries[QUERIES:], lambda _: None)  # warm
            taken = await recall_file.recalls(file, queries[:QUERIES], _say)
            curve.append(
                Cost(
                    episodes=size, recall_p50=round(recall_file.part(taken, 0.5), 3),
                    recall_p99=round(recall_file.part(taken, 0.99), 3), remember=round(stored / len(new) * 1e6, 1),
                    indexed=round(indexed / len(new) * 1e6, 1), others=round(watch.others(), 2),
                )
            )  # fmt: skip
            _say(f"{curve[-1]}")
    return curve


def rows_of(curve: list[Cost]) -> list[Row]:
    """Return the promise next to what was measured, and what one costs at each size next to the smallest."""
    promised = next((cost for cost in curve if cost.episodes == PROMISED_AT), None)
    rows = []
    if promised is not None:
        rows = [_row(MIDDLE, promised.recall_p50), _row(SLOW, promised.recall_p99)]
    few = f"{curve[0].episodes:,} episodes"
    for name, unit in UNITS.items():
        first = getattr(curve[0], name)
        rows += [
            Row(
                work=f"the cost of a memory of {cost.episodes:,} episodes", unit=unit, ours=getattr(cost, name),
                peer=few, theirs=first, ratio=round(getattr(cost, name) / first, 3), better="lower", reach=None,
                spread=0.0, rounds=1,
            )
            for cost in curve[1:]
        ]  # fmt: skip
    return rows


def _row(limit: Limit, value: float) -> Row:
    return Row(
        work=limit.work, unit=limit.unit, ours=round(value, 2), peer=LIMIT, theirs=limit.most,
        ratio=round(value / limit.most, 3), better="lower", reach=1.0, spread=0.0, rounds=1,
    )  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and put the rows among the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recall_cost", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="episodes; fewer than 200,000 are not written")
    options = parser.parse_args()
    sizes = tuple(size for size in SIZES if size <= options.most)
    curve = anyio.run(measure, sizes, backend_options={"use_uvloop": True})
    print(report.table(rows_of(curve), {}))
    if sizes == SIZES:
        report.write(RESULTS / "recall.json", curve)
        points = {
            "recall, median, ms": [(cost.episodes, cost.recall_p50) for cost in curve],
            "recall, p99, ms": [(cost.episodes, cost.recall_p99) for cost in curve],
            "remember, ms": [(cost.episodes, cost.remember / 1e3) for cost in curve],
            "remember and index, ms": [(cost.episodes, cost.indexed / 1e3) for cost in curve],
        }
        svg = plot.growth(points, "memory: milliseconds for one, by the number of episodes")
        (RESULTS / "recall.svg").write_text(svg, encoding="utf-8")
        report.publish(RESULTS / "latest.json", rows_of(curve), max(cost.others for cost in curve))


if __name__ == "__main__":
    main()
