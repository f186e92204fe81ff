"""An inspection: what one analyser says of one batch, in order and small enough for one message."""

from collections import Counter
from typing import Final

import msgspec

from .finding import Finding, Severity, Tool, rank
from .job import Done, Figures
from .limits import FINDINGS_LISTED, INSPECTION_BYTES


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many findings of one severity a file has, listed or not."""

    path: str
    severity: Severity
    findings: int


class Inspection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Findings in the order of their rank, the first of them if they are too many; counts are of all."""

    tool: Tool
    findings: tuple[Finding, ...]
    counts: tuple[Count, ...]
    figures: tuple[Figures, ...] = ()
    unchecked: tuple[str, ...] = ()


_SHRINK: Final = 0.75


def inspection(tool: Tool, done: Done) -> Inspection:
    """Put what an analyser did in order; the same work always gives the same bytes."""
    counted: Counter[tuple[str, Severity]] = Counter((each.path, each.severity) for each in done.findings)
    made = Inspection(
        tool=tool,
        findings=tuple(sorted(done.findings, key=rank)[:FINDINGS_LISTED]),
        counts=tuple(
            Count(path=path, severity=severity, findings=count) for (path, severity), count in sorted(counted.items())
        ),
        figures=tuple(sorted(done.figures, key=lambda each: each.path)),
        unchecked=tuple(sorted(done.unchecked)),
    )
    while len(msgspec.json.encode(made)) > INSPECTION_BYTES:
        made = msgspec.structs.replace(made, findings=made.findings[: int(len(made.findings) * _SHRINK)])
    return made
