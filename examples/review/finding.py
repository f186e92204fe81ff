"""A finding: one thing one analyser says about one line."""

from typing import Final, Literal

import msgspec

from .limits import TEXT_LENGTH

Severity = Literal["high", "medium", "low", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("high", "medium", "low", "info")
_ORDER: Final[dict[Severity, int]] = {severity: at for at, severity in enumerate(SEVERITIES)}

Tool = Literal["ruff", "bandit", "metrics", "gaps"]
TOOLS: Final[tuple[Tool, ...]] = ("bandit", "gaps", "metrics", "ruff")

NOT_CHECKED: Final = "not-checked"
"""The rule under which a report says that a tool could not check a file."""

Rank = tuple[int, str, int, str, int, str, str]


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a review; `path` is relative to the repository, lines and columns count from 1."""

    path: str
    line: int
    column: int = 0
    """0 where no column is known."""
    severity: Severity
    tool: Tool
    rule: str
    text: str


def rank(finding: Finding) -> Rank:
    """Return the key of a finding's place: severity, path, line, rule; the rest makes the order total."""
    return (
        _ORDER[finding.severity],
        finding.path,
        finding.line,
        finding.rule,
        finding.column,
        finding.tool,
        finding.text,
    )


def clean(text: str, *, most: int = TEXT_LENGTH) -> str:
    """Return `text` on one line of at most `most` characters, all printable.

    The text may quote the source under review: control and bidirectional characters are shown as escapes, so
    that a file cannot draw on the terminal of who reads the report.
    """
    kept = text[: most + 1]
    shown = "".join(each if each.isprintable() else _escape(each) for each in kept)
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _escape(character: str) -> str:
    return " " if character in "\n\t" else character.encode("unicode_escape", "backslashreplace").decode()
