"""A report as text, for a terminal or a mail: every character is printable, whatever the files are called."""

from typing import TYPE_CHECKING

from .finding import SEVERITIES, Finding, clean
from .limits import FINDINGS_IN_TEXT

if TYPE_CHECKING:
    from .report import Overview, Report, Summary


def to_text(report: "Report") -> str:
    """Return the text of `report`: totals, notes, and its first findings in the order of their rank."""
    lines = [_title(report), _sizes(report.summary), _counts(report.summary)]
    if report.overview is not None:
        lines += [*_overview(report.overview)]
    lines += [f"note: {note}" for note in report.notes]
    shown = report.findings[:FINDINGS_IN_TEXT]
    if shown:
        lines += ["", *map(_line, shown)]
    if len(shown) < report.summary.findings:
        lines += ["", f"{len(shown)} of {report.summary.findings} findings are shown."]
    return "\n".join(lines) + "\n"


def _title(report: "Report") -> str:
    scope = f", files changed since {report.base[:12]}" if report.base else ""
    return f"Review of {report.repository} at {report.commit[:12]}{scope}"


def _sizes(summary: "Summary") -> str:
    return (
        f"{summary.files} Python files, {summary.lines} lines, {summary.functions} functions, "
        f"{summary.suppressions} lines that silence an analyser"
    )


def _counts(summary: "Summary") -> str:
    counts = ", ".join(f"{getattr(summary, severity)} {severity}" for severity in SEVERITIES)
    return f"{summary.findings} findings: {counts}"


def _overview(overview: "Overview") -> list[str]:
    said = clean(overview.headline, most=200)
    return ["", f"A model says: {said}", f"  risk {overview.risk}; begin with {overview.first}", ""]


def _line(finding: Finding) -> str:
    place = f"{clean(finding.path, most=500)}:{finding.line}"
    return f"{place}: {finding.severity} {finding.tool}/{finding.rule}: {finding.text}"
