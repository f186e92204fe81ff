"""The tally of a review: inspections come in as they are answered, and their order leaves no trace.

Only the findings that can still be listed are kept, so that a repository full of them does not fill the
memory.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from .finding import NOT_CHECKED, Finding, Severity, Tool, rank
from .inspection import Inspection
from .job import Figures
from .limits import FINDINGS_LISTED

K = TypeVar("K")


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A finished tally: the first findings in the order of their rank, and counts of all, listed or not."""

    findings: tuple[Finding, ...]
    figures: tuple[Figures, ...]
    """In the order of their paths."""
    by_severity: Counter[Severity]
    by_file: Counter[str]
    by_tool: Counter[Tool]


class Tally:
    """Adds up inspections. Adding the same ones in any order gives the same tally."""

    def __init__(self, *, keep: int = FINDINGS_LISTED, order: Callable[[Finding], Any] = rank) -> None:
        self._keep, self._order = keep, order
        self._findings: list[Finding] = []
        self._counts: Counter[tuple[str, Severity]] = Counter()
        self._tools: Counter[Tool] = Counter()
        self._figures: dict[str, Figures] = {}
        self._unchecked: set[tuple[str, Tool]] = set()

    def add(self, inspection: Inspection) -> None:
        """Add what one analyser said of one batch."""
        self._findings = sorted([*self._findings, *inspection.findings], key=self._order)[: self._keep]
        for count in inspection.counts:
            self._counts[count.path, count.severity] += count.findings
            self._tools[inspection.tool] += count.findings
        self._figures.update((each.path, each) for each in inspection.figures)
        self._unchecked.update((path, inspection.tool) for path in inspection.unchecked)

    def totals(self) -> Totals:
        """Return what was added, with a finding for each file that a tool could not check.

        Where the file is no Python at all, one finding says so already, and none is made for the other tools.
        """
        left = [_not_checked(path, tool) for path, tool in self._unchecked if self._is_parsed(path)]
        counts = self._counts + _places(left)
        return Totals(
            findings=tuple(sorted([*self._findings, *left], key=self._order)[: self._keep]),
            figures=tuple(self._figures[path] for path in sorted(self._figures)),
            by_severity=_summed(counts, lambda key: key[1]),
            by_file=_summed(counts, lambda key: key[0]),
            by_tool=self._tools + _tools_of(left),
        )

    def _is_parsed(self, path: str) -> bool:
        return path not in self._figures or self._figures[path].parsed


def _summed(counts: Counter[tuple[str, Severity]], part: Callable[[tuple[str, Severity]], K]) -> Counter[K]:
    total: Counter[K] = Counter()
    for key, count in counts.items():
        total[part(key)] += count
    return total


def _places(findings: list[Finding]) -> Counter[tuple[str, Severity]]:
    return Counter([(each.path, each.severity) for each in findings])


def _tools_of(findings: list[Finding]) -> Counter[Tool]:
    return Counter([each.tool for each in findings])


def _not_checked(path: str, tool: Tool) -> Finding:
    text = f"{tool} could not check this file: it cannot be read, or took too much time or memory."
    return Finding(path=path, line=1, severity="medium", tool=tool, rule=NOT_CHECKED, text=text)
