"""ruff, one process for each file, which it reads from its standard input: nothing is written to disk.

Its rules are chosen here; no configuration file is read (``--isolated``) and nothing of the file's place is
told but whether it is an ``__init__.py`` or a ``__main__.py``, which some rules treat apart. ``# noqa``
comments are honoured; the figures count them.
"""

import io
import shutil
import sys
import tokenize
from pathlib import Path
from typing import Final

import msgspec

from .errors import SaidTooMuch, TookTooLong, ToolFailed, ToolMissing
from .finding import Finding, Severity, clean
from .job import Content, Done, joined
from .limits import MIB
from .process import Finished, run
from .workshop import ENVIRONMENT, FROM_OUTSIDE, work

RULES: Final = "B,E4,E7,E9,F,PLE"
SECONDS: Final = 20.0
_MOST: Final = 64 * MIB
_HIGH: Final = ("E9", "F63", "F7", "F82", "PLE")
_LOW: Final = ("E4", "E7")
_SYNTAX: Final = "invalid-syntax"
_PLACES: Final = ("__init__.py", "__main__.py")


class _Place(msgspec.Struct, frozen=True):
    row: int
    column: int


class _Diagnostic(msgspec.Struct, frozen=True):
    code: str | None
    message: str
    location: _Place


async def lint(files: tuple[Content, ...]) -> Done:
    """Return ruff's findings.

    A file that is no Python gives none: the metrics say so of the same file. One that ruff cannot read, or
    dies of, is unchecked.

    Raises:
        ToolFailed: ruff was killed from outside.
        ToolMissing: it is not installed.

    """
    program = _program()
    skipped = (await work("syntax", files)).unchecked
    return joined([await _lint(program, file) for file in files if file.path not in skipped])


def _program() -> str:
    beside = Path(sys.executable).with_name("ruff")
    found = str(beside) if beside.exists() else shutil.which("ruff")
    if found is None:
        raise ToolMissing("ruff is not installed: pip install 'callboard[review]'", tool="ruff")
    return found


async def _lint(program: str, file: Content) -> Done:
    source = _as_utf8(file.source)
    if source is None:
        return Done(unchecked=(file.path,))
    name = Path(file.path).name
    command = [
        program,
        "check",
        "--isolated",
        "--no-cache",
        "--quiet",
        "--output-format=json",
        f"--select={RULES}",
    ]
    command += ["--target-version=py314", "--stdin-filename", name if name in _PLACES else "module.py", "-"]
    try:
        finished = await run(command, environment=ENVIRONMENT, cwd="/", stdin=source, seconds=SECONDS, most=_MOST)
    except (TookTooLong, SaidTooMuch):
        return Done(unchecked=(file.path,))
    return understand(file.path, finished)


def _as_utf8(source: bytes) -> bytes | None:
    """Return `source` in the only encoding that ruff reads; None if it is not in the one it declares."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding).encode()
    except (SyntaxError, UnicodeError, LookupError):
        return None


def understand(path: str, finished: Finished) -> Done:
    """Return what one run of ruff said of a file; raise ToolFailed if it was ended from outside."""
    if finished.code in FROM_OUTSIDE:
        raise ToolFailed(f"ruff was ended from outside ({finished.code})", tool="ruff", code=finished.code)
    if finished.code not in (0, 1):
        return Done(unchecked=(path,))
    said = msgspec.json.decode(finished.stdout, type=list[_Diagnostic])
    if any(each.code in (None, _SYNTAX) for each in said):
        return Done()
    return Done(findings=tuple(_finding(path, each) for each in said))


def _finding(path: str, said: _Diagnostic) -> Finding:
    rule = said.code or _SYNTAX
    return Finding(
        path=path,
        line=said.location.row,
        column=said.location.column,
        severity=_severity(rule),
        tool="ruff",
        rule=rule,
        text=clean(said.message),
    )


def _severity(rule: str) -> Severity:
    if rule.startswith(_HIGH):
        return "high"
    return "low" if rule.startswith(_LOW) else "medium"
