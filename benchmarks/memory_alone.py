"""Working memory measured by itself, in two minutes: ``python -m benchmarks.memory_alone``."""

import sys

import anyio

from . import plot, report
from .disturbance import Watch
from .memory import GROWTH, curves_of, measure_memory
from .recall_cost import RESULTS


async def _measure() -> tuple[list[report.Row], float]:
    watch = Watch()
    rows = await measure_memory("memory", lambda text: print(text, file=sys.stderr, flush=True))
    return rows, watch.others()


def main() -> None:
    """Measure, and write."""
    rows, others = anyio.run(_measure, backend_options={"use_uvloop": True})
    print(report.table(rows, {}))
    growth = plot.growth(curves_of(rows), "working memory: microseconds for one, by how many are kept")
    (RESULTS / "memory.svg").write_text(growth, encoding="utf-8")
    report.publish(RESULTS / "latest.json", [row for row in rows if row.work != GROWTH], others)
    report.publish(RESULTS / "latest.json", [row for row in rows if row.work == GROWTH], others)


if __name__ == "__main__":
    main()
