"""The report: one value, the same byte for byte for the same commits, tools and verdicts.

So it holds no time, no duration, no path outside the repository, and nothing that depends on who answered
first. What does not fit into one message is cut from the end of the ranking, and the totals say so.
"""

from typing import Final, Literal

import msgspec

from callboard import Untrusted

from .finding import TOOLS, Finding
from .limits import FILES_LISTED, FINDINGS_LISTED, REPORT_BYTES
from .render import to_text
from .sarif import to_sarif
from .survey import Page
from .tally import Tally, Totals

Format = Literal["text", "json", "sarif"]
Risk = Literal["low", "medium", "high"]
_SHRINK: Final = 0.85


class Summary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Totals of the whole review; `findings_listed` and `files_listed` are what the report has room for."""

    files: int
    files_listed: int
    lines: int
    code: int
    functions: int
    suppressions: int
    findings: int
    findings_listed: int
    high: int
    medium: int
    low: int
    info: int
    by_tool: dict[str, int]


class FileReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of one file; `complexity` is that of its most complex function."""

    path: str
    parsed: bool
    lines: int
    code: int
    functions: int
    complexity: int
    suppressions: int
    findings: int


class Overview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A review in one minute, as a model sees it. `first` is the kind of finding to begin with, such as ``ruff/F401``.

    The headline is a model's text about text of strangers.
    """

    headline: Untrusted[str]
    risk: Risk
    first: str


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a review has to say. `commit` was reviewed; with a `base`, only the files that differ from it."""

    repository: str
    commit: str
    base: str | None
    summary: Summary
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    files: tuple[FileReport, ...]
    text: str
    sarif: str | None
    overview: Overview | None = None
    """What a model says of it, if one was asked."""


def with_overview(report: Report, overview: Overview | None, notes: tuple[str, ...]) -> Report:
    """Return a report with what a model says of it, and what there is to note of that."""
    report = msgspec.structs.replace(report, overview=overview, notes=(*report.notes, *notes))
    return msgspec.structs.replace(report, text=to_text(report))


def compose(page: Page, tally: Tally, *, files: int, sarif: bool) -> Report:
    """Return the report of one review, smaller than :data:`REPORT_BYTES` as JSON.

    Args:
        page: the first page of its survey.
        tally: what all inspections said.
        files: how many files were reviewed.
        sarif: whether the report has its SARIF form too.

    """
    totals = tally.totals()
    findings, listed = FINDINGS_LISTED, FILES_LISTED
    while True:
        report = _compose(page, totals, files=files, findings=findings, listed=listed)
        if sarif:
            report = msgspec.structs.replace(report, sarif=to_sarif(report))
        if len(msgspec.json.encode(report)) <= REPORT_BYTES or not (findings or listed):
            return report
        findings = int(min(findings, len(report.findings)) * _SHRINK)
        listed = int(min(listed, len(report.files)) * _SHRINK)


def _compose(page: Page, totals: Totals, *, files: int, findings: int, listed: int) -> Report:
    shown = totals.findings[:findings]
    reports = _files(totals, most=listed)
    report = Report(
        repository=page.repository,
        commit=page.commit,
        base=page.base,
        summary=_summary(totals, files=files, findings_listed=len(shown), files_listed=len(reports)),
        notes=page.notes,
        findings=shown,
        files=reports,
        text="",
        sarif=None,
    )
    return msgspec.structs.replace(report, text=to_text(report))


def _summary(totals: Totals, *, files: int, findings_listed: int, files_listed: int) -> Summary:
    figures = totals.figures
    by_tool: dict[str, int] = {tool: totals.by_tool[tool] for tool in TOOLS}
    return Summary(
        files=files,
        files_listed=files_listed,
        lines=sum(each.lines for each in figures),
        code=sum(each.code for each in figures),
        functions=sum(each.functions for each in figures),
        suppressions=sum(each.suppressions for each in figures),
        findings=sum(by_tool.values()),
        findings_listed=findings_listed,
        high=totals.by_severity["high"],
        medium=totals.by_severity["medium"],
        low=totals.by_severity["low"],
        info=totals.by_severity["info"],
        by_tool=by_tool,
    )


def _files(totals: Totals, *, most: int) -> tuple[FileReport, ...]:
    """Return the files in the order of their paths: those with most findings where not all have room."""
    reports = [
        FileReport(
            path=each.path,
            parsed=each.parsed,
            lines=each.lines,
            code=each.code,
            functions=each.functions,
            complexity=each.complexity,
            suppressions=each.suppressions,
            findings=totals.by_file[each.path],
        )
        for each in totals.figures
    ]
    chosen = sorted(reports, key=lambda each: (-each.findings, -each.lines, each.path))[:most]
    return tuple(sorted(chosen, key=lambda each: each.path))
