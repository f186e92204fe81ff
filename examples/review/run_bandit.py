"""bandit, inside a worker process: over files that exist in memory only, with a configuration that is empty.

bandit opens its files by name. Each is given to it as an anonymous file of this process, so that nothing is
left on disk whenever the process is killed, and no ``.bandit`` or ``pyproject.toml`` lies anywhere near. ``#
nosec`` comments are honoured, as bandit does by default; the figures count them.
"""

import logging
import os
from collections.abc import Iterable
from typing import Any, Final

from bandit.core import config, manager  # type: ignore[import-untyped] # it ships no types

from .finding import Finding, Severity, clean
from .job import Content, Done

_SEVERITIES: Final[dict[str, Severity]] = {
    "HIGH": "high",
    "MEDIUM": "medium",
    "LOW": "low",
    "UNDEFINED": "info",
}
_NOT_PYTHON: Final = "syntax error while parsing AST from file"
"""Not worth a word here: the metrics say so of the same file."""


def scan(files: tuple[Content, ...]) -> Done:
    """Scan each file. Files that bandit gave up on are named as unchecked, wrong syntax excepted."""
    logging.disable()
    opened = {_in_memory(file.source): file.path for file in files}
    bandit: Any = manager.BanditManager(config.BanditConfig(), "file", quiet=True)
    bandit.files_list = list(opened)
    bandit.run_tests()
    return Done(
        findings=tuple(_findings(bandit.results, opened)),
        unchecked=tuple(opened[name] for name, why in bandit.skipped if why != _NOT_PYTHON),
    )


def _in_memory(source: bytes) -> str:
    descriptor = os.memfd_create("source", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(source)
    return f"/proc/self/fd/{descriptor}"


def _findings(issues: Iterable[Any], opened: dict[str, str]) -> Iterable[Finding]:
    for issue in issues:
        yield Finding(
            path=opened[issue.fname],
            line=max(1, int(issue.lineno or 1)),
            column=max(0, int(issue.col_offset)) + 1,
            severity=_SEVERITIES[issue.severity],
            tool="bandit",
            rule=issue.test_id,
            text=clean(f"{issue.text} (confidence: {issue.confidence.lower()})"),
        )
