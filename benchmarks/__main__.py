"""The whole comparison: ``python -m benchmarks``, or ``make bench``. Takes about seven minutes."""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

import anyio
import msgspec

from callboard.guardian import Guardian

from . import plot, report
from .calm import measure_calm
from .crowd import measure_crowd
from .durable import has_taskiq
from .latency import Curve, measure_latency
from .machine import Machine, describe
from .memory import GROWTH, curves_of, measure_memory
from .mending import measure_mending
from .names import AUTOGEN, ERLANG, FASTSTREAM, LIMIT, NATS, OURS, PYKKA, TASKIQ, THESPIAN, XOSCAR
from .pressure import measure_pressure
from .programs import programs_here
from .rounds import QUIET, Turn, figures_of, run_turns
from .server import shared_server
from .side import Side
from .sides import has_faststream, open_sides
from .starting import measure_starting
from .works import WORKS, Work

RESULTS: Final = Path(__file__).parent / "results"
README: Final = Path(__file__).parent / "README.md"
ALL_WITHIN: Final = 900.0
LATENCY: Final = "open-loop latency"
LIMITS: Final = (measure_mending, measure_calm, measure_starting, measure_crowd, measure_pressure, measure_memory)


def main() -> None:
    """Measure, print, and write the results; a part of the works is only printed."""
    options = _options()
    works = [work for work in WORKS if options.only in work.name]
    machine, begin = describe(), time.monotonic()
    wanted = options.only in LATENCY
    done, curves = anyio.run(_run, works, options, wanted, backend_options={"use_uvloop": True})
    machine = msgspec.structs.replace(machine, others={work.name: _others(turns) for work, turns in done})
    rows = [row for work, turns in done for row in report.rows_of(work, figures_of(turns))]
    rows += anyio.run(_run_limits, options.only, backend_options={"use_uvloop": True})
    if not rows and not curves:
        sys.exit(f"no work is named like {options.only!r}")
    text = "\n".join(_text(rows, machine, options, works))
    print(f"\n{text}\n\ntook {time.monotonic() - begin:.0f} s")
    if not options.only:
        report.merge(RESULTS / "latest.json", rows)  # those of the backlog stay
        report.write(RESULTS / "machine.json", machine)
        report.write(RESULTS / "latency.json", curves)
        compared = [row for row in rows if row.peer != LIMIT and row.work != GROWTH]
        (RESULTS / "works.svg").write_text(plot.bars(compared), encoding="utf-8")
        growth = plot.growth(curves_of(rows), "working memory: microseconds for one, by how many are kept")
        (RESULTS / "memory.svg").write_text(growth, encoding="utf-8")
        (RESULTS / "latency.svg").write_text(plot.lines(curves), encoding="utf-8")
        report.insert(README, text)


def _text(rows: list[report.Row], machine: Machine, options: argparse.Namespace, works: list[Work]) -> Iterator[str]:
    noisy = {work: others for work, others in machine.others.items() if others > QUIET}
    yield f"{machine.date}, {machine.cpu}, {machine.cores} cores; {machine.python}; {machine.system}"
    yield f"{options.rounds} rounds in turn of about {options.seconds:g} s each; medians"
    yield "uvloop for us, nats-py and FastStream\n"
    yield report.table(rows, noisy)
    yield from report.said(noisy)
    for name in _skipped(works):
        yield f"skipped: {name}: it is not installed here; 'make bench' runs with it"


def _others(turns: list[Turn]) -> float:
    return round(max(turn.others for turn in turns), 2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of each side (default 7)")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a round takes, about (default 1)")
    parser.add_argument("--only", default="", help="works whose name holds this text; then nothing is written")
    return parser.parse_args()


def _skipped(works: list[Work]) -> list[str]:
    absent = {PYKKA, THESPIAN, XOSCAR, AUTOGEN, ERLANG} - programs_here().keys()
    absent |= set() if has_faststream() else {FASTSTREAM}
    absent |= set() if has_taskiq() else {TASKIQ}
    return [f"{work.name}, {peer}" for work in works for peer in work.reach if peer in absent]


async def _run(
    works: list[Work], options: argparse.Namespace, latency: bool
) -> tuple[list[tuple[Work, list[Turn]]], list[Curve]]:
    done: list[tuple[Work, list[Turn]]] = []
    curves: list[Curve] = []
    with anyio.fail_after(ALL_WITHIN), Guardian.start() as guardian:
        async with shared_server(guardian) as url:
            for where, here in groupby(works, key=attrgetter("where")):
                async with open_sides(where, url, guardian=guardian) as sides:
                    done += [(work, await _measure(work, sides, options.rounds, options.seconds)) for work in here]
            if latency:
                async with open_sides("across processes", url, guardian=guardian) as sides:
                    curves = await measure_latency({name: sides[name] for name in (OURS, NATS)}, _say)
    return done, curves


def _say(text: str) -> None:
    print(text, file=sys.stderr)


async def _measure(work: Work, sides: dict[str, Side], rounds: int, seconds: float) -> list[Turn]:
    taking_part = {name: side for name, side in sides.items() if name == OURS or name in work.reach}
    print(f"{work.name}: warming up", file=sys.stderr)
    return await run_turns(
        work.measure, taking_part, turns=rounds, seconds=seconds,
        say=lambda text: _say(f"{work.name}: {text}"),
    )  # fmt: skip


async def _run_limits(only: str) -> list[report.Row]:
    with anyio.fail_after(ALL_WITHIN):
        found = [await measure(only, _say) for measure in LIMITS]
        return [row for rows in found for row in rows]


if __name__ == "__main__":
    main()
