"""What a worker process is given and gives back: plain values, as msgpack, through its standard streams."""

from typing import Final, Literal

import msgspec

from .finding import Finding

Trade = Literal["bandit", "metrics", "gaps", "syntax"]
"""What a worker process can do; ruff is a program of its own, and asks for the syntax alone."""

EXIT_MISSING: Final = 69
"""How a worker ends when the package it needs is not installed."""
EXIT_EXHAUSTED: Final = 70
"""How a worker ends when memory or stack ran out where no single file could be blamed."""


class Content(msgspec.Struct, frozen=True):
    """One file with all of its bytes."""

    path: str
    source: bytes


class Job(msgspec.Struct, frozen=True):
    """Files for one worker."""

    trade: Trade
    files: tuple[Content, ...]


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was counted in one file; `complexity` is that of its most complex function, or 0."""

    path: str
    parsed: bool
    lines: int
    code: int
    """Lines that are neither empty nor only a comment."""
    functions: int
    complexity: int
    suppressions: int
    """Lines with a comment that silences an analyser: ``noqa``, ``nosec`` or ``type: ignore``."""


class Definition(msgspec.Struct, frozen=True):
    """A public function or method, by its own name."""

    path: str
    line: int
    name: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """All that one analyser has to say about the files of one job, in no order that means anything."""

    findings: tuple[Finding, ...] = ()
    figures: tuple[Figures, ...] = ()
    definitions: tuple[Definition, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Paths of files that the analyser could not check."""


def joined(parts: list[Done]) -> Done:
    """Return what several jobs gave as if it had been one."""
    return Done(
        findings=tuple(each for part in parts for each in part.findings),
        figures=tuple(each for part in parts for each in part.figures),
        definitions=tuple(each for part in parts for each in part.definitions),
        unchecked=tuple(each for part in parts for each in part.unchecked),
    )
