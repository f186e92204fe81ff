"""A report as SARIF 2.1.0, the exchange format that code hosts and editors read."""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from .finding import Finding, Severity

if TYPE_CHECKING:
    from .report import Report

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final[dict[Severity, str]] = {"high": "error", "medium": "warning", "low": "note", "info": "note"}


def to_sarif(report: "Report") -> str:
    """Return the SARIF log of the findings that `report` lists; totals and notes are in its properties."""
    rules = sorted({_rule(finding) for finding in report.findings})
    index = {rule: at for at, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "callboard-review", "rules": [{"id": rule} for rule in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index) for finding in report.findings],
        "properties": {
            "repository": report.repository,
            "commit": report.commit,
            "base": report.base,
            "findings": report.summary.findings,
            "notes": report.notes,
        },
    }
    return msgspec.json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}).decode()


def _rule(finding: Finding) -> str:
    return f"{finding.tool}/{finding.rule}"


def _result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    region = {"startLine": finding.line}
    if finding.column:
        region["startColumn"] = finding.column
    place = {"artifactLocation": {"uri": quote(finding.path), "uriBaseId": "%SRCROOT%"}, "region": region}
    return {
        "ruleId": _rule(finding),
        "ruleIndex": index[_rule(finding)],
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.text},
        "locations": [{"physicalLocation": place}],
        "properties": {"severity": finding.severity},
    }
