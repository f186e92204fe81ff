"""Gaps: functions too long to be read at once, and public functions that no test file mentions.

The second is a heuristic by name, no coverage: a function counts as mentioned when its bare name stands
anywhere in any test file, a comment included. So it misses some gaps, and calls a function untested that is
only reached through another. Public is what neither itself nor a class around it starts with an underscore;
nested functions, overloads and test files themselves are left out.
"""

import ast
import re
from collections.abc import Container, Iterator
from typing import Final

import msgspec

from .finding import Finding, Severity, clean
from .job import Content, Definition, Done, joined
from .metrics import Function, functions
from .parse import Unparsable, parse
from .tree import is_test

LONG: Final[tuple[tuple[int, Severity], ...]] = ((120, "medium"), (60, "low"))
_WORD: Final = re.compile(r"[^\W\d]\w*")


def find_gaps(files: tuple[Content, ...]) -> Done:
    """Return the long functions of each file as findings, and its public functions as definitions."""
    return joined([_find(file) for file in files])


def _find(file: Content) -> Done:
    tree = parse(file.source)
    if isinstance(tree, Unparsable):
        return Done()
    long = [finding for function in functions(tree) for finding in _long(file.path, function)]
    public = () if is_test(file.path) else tuple(_public(file.path, tree.body))
    return Done(findings=tuple(long), definitions=public)


def _long(path: str, function: Function) -> Iterator[Finding]:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    for over, severity in LONG:
        if lines > over:
            text = f"{function.name!r} is {lines} lines long, over {LONG[-1][0]}."
            yield _finding(path, function.lineno, severity, "long-function", text)
            return


def _public(path: str, body: list[ast.stmt]) -> Iterator[Definition]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                if not _is_overload(node):
                    yield Definition(path, node.lineno, name)
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield from _public(path, node.body)
            case _:
                continue


def _is_overload(function: Function) -> bool:
    names = {each.id if isinstance(each, ast.Name) else getattr(each, "attr", "") for each in function.decorator_list}
    return "overload" in names


def words(source: bytes) -> set[str]:
    """Return every identifier that stands in a file, whatever it is part of."""
    return set(_WORD.findall(source.decode("utf-8", "replace")))


def with_untested(done: Done, mentioned: Container[str] | None) -> Done:
    """Return `done` with a finding for each definition not mentioned; None says that there are no tests."""
    if mentioned is None:
        return done
    silent = tuple(_untested(each) for each in done.definitions if each.name not in mentioned)
    return msgspec.structs.replace(done, findings=done.findings + silent)


def _untested(gap: Definition) -> Finding:
    text = f"No test file mentions {gap.name!r} (judged by name alone)."
    return _finding(gap.path, gap.line, "info", "untested", text)


def _finding(path: str, line: int, severity: Severity, rule: str, text: str) -> Finding:
    return Finding(path=path, line=line, severity=severity, tool="gaps", rule=rule, text=clean(text))
