"""Figures to rows, rows to a table and a file."""

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from .machine import Machine
from .names import LIMIT, OURS
from .rounds import QUIET, Figures
from .works import Better, Work

BEGIN: Final = "<!-- figures: written by python -m benchmarks -->"
END: Final = "<!-- end of figures -->"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One work against one peer: medians of the same rounds."""

    work: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    """Ours divided by theirs."""
    better: Better
    reach: float | None
    """The ratio aimed at; None: not aimed at now."""
    spread: float
    """(max - min) / median of the side whose rounds lie further apart."""
    rounds: int

    def verdict(self, *, quiet: bool) -> str:
        """Whether the aim is met; a work that was not quiet says neither yes nor no."""
        if self.reach is None:
            return "-"
        if not quiet:
            return f"{self.reach:g} not quiet"
        met = self.ratio >= self.reach if self.better == "higher" else self.ratio <= self.reach
        return f"{self.reach:g} met" if met else f"{self.reach:g} MISSED"


def rows_of(work: Work, figures: Mapping[str, Figures]) -> list[Row]:
    """Return a row for each peer that was measured."""
    ours = figures[OURS]
    rows = [
        Row(
            work=work.name, unit=work.unit, ours=_rounded(ours.middle), peer=peer, theirs=_rounded(theirs.middle),
            ratio=round(ours.middle / theirs.middle, 3), better=work.better, reach=work.reach[peer],
            spread=round(max(ours.spread, theirs.spread), 3), rounds=len(ours.values),
        )
        for peer, theirs in figures.items()
        if peer != OURS
    ]  # fmt: skip
    if work.promised:
        ratio = round(ours.middle / work.promised, 3)
        rows.append(msgspec.structs.replace(rows[0], peer=LIMIT, theirs=work.promised, ratio=ratio, reach=1.0))
    return rows


def _rounded(value: float) -> float:
    return round(value, 1) if value < 10_000 else round(value)


def table(rows: Iterable[Row], noisy: Container[str]) -> str:
    """Return the rows as text in columns; `noisy` are the works during which other programs were busy."""
    head = ["work", "unit", "ours", "peer", "theirs", "ratio", "reach", "spread"]
    lines = [head, *(_cells(row, quiet=row.work not in noisy) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(row: Row, *, quiet: bool) -> list[str]:
    unit = f"{row.unit}, {row.better} is better"
    figures = [_shown(row.ours), row.peer, _shown(row.theirs), f"{row.ratio:.2f}", row.verdict(quiet=quiet)]
    return [row.work, unit, *figures, f"{row.spread:.0%}"]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:.3g}"


def insert(page: Path, text: str) -> None:
    """Put `text` between the marks of `page`, in place of what stands there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{page.name} lacks the marks {BEGIN!r} and {END!r}")
    page.write_text(f"{before}{begin}\n```\n{text}\n```\n{end}{after}", encoding="utf-8")


def merge(path: Path, rows: Iterable[Row]) -> None:
    """Write rows among those that are there, in place of those of the same work and peer."""
    new = {(row.work, row.unit, row.peer): row for row in rows}
    old = msgspec.json.decode(path.read_bytes(), type=list[Row]) if path.exists() else []
    works = {row.work for row in new.values()}
    write(path, [*(row for row in old if row.work not in works), *new.values()])


def publish(path: Path, rows: Sequence[Row], others: float) -> None:
    """Merge rows into the file, and write its table anew in the page beside its folder; what stands above it stays.

    `others`: cores that other programs used meanwhile.
    """
    merge(path, rows)
    file = path.with_name("machine.json")
    machine = msgspec.json.decode(file.read_bytes(), type=Machine)
    machine.others.update({row.work: round(others, 2) for row in rows})
    write(file, machine)
    noisy = {work: cores for work, cores in machine.others.items() if cores > QUIET}
    page = path.parent.parent / "README.md"
    head = page.read_text(encoding="utf-8").partition(f"{BEGIN}\n```\n")[2].partition("\nwork ")[0]
    insert(page, "\n".join([head, table(msgspec.json.decode(path.read_bytes(), type=list[Row]), noisy), *said(noisy)]))


def said(noisy: Mapping[str, float]) -> list[str]:
    """Return a line for each work during which other programs were busy."""
    return [
        f"not quiet: {work}: other programs used up to {cores:.2f} cores; take neither figure nor ratio for true"
        for work, cores in noisy.items()
    ]


def write(path: Path, what: object) -> None:
    """Write `what` as JSON for people."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(what), indent=1) + b"\n")
