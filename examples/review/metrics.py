"""Complexity and size.

The counting rule: a function starts at 1, and each of these in its own body adds 1: ``if`` and ``elif``,
``for``, ``while``, ``except``, a conditional expression, a ``for`` and an ``if`` of a comprehension,
``assert``, a ``case`` that is not the bare wildcard, and each ``and`` or ``or`` (``a and b and c`` adds 2). A
nested function or class counts on its own and adds nothing to the outer one; a lambda counts as part of the
function around it.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

from .finding import Finding, Severity, clean
from .job import Content, Done, Figures, joined
from .parse import VERSION, Unparsable, parse

COMPLEX: Final[tuple[tuple[int, Severity], ...]] = ((40, "high"), (20, "medium"), (10, "low"))
LONG_FILE: Final = 1_000

Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BRANCHES: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert)
_SUPPRESSION: Final = re.compile(rb"#\s*(?:noqa|nosec|ruff:\s*noqa|flake8:\s*noqa|type:\s*ignore)\b", re.IGNORECASE)


def measure(files: tuple[Content, ...]) -> Done:
    """Measure each file."""
    return joined([_measure(file) for file in files])


def check_syntax(files: tuple[Content, ...]) -> Done:
    """Name the files that are no Python as unchecked, and say nothing else."""
    return Done(unchecked=tuple(file.path for file in files if isinstance(parse(file.source), Unparsable)))


def _measure(file: Content) -> Done:
    tree = parse(file.source)
    if isinstance(tree, Unparsable):
        return Done(findings=(_unparsable(file, tree),), figures=(_figures(file, None, 0),))
    counted = [(function, complexity(function)) for function in functions(tree)]
    figures = _figures(file, len(counted), max((count for _, count in counted), default=0))
    findings = [_complex(file, function, count) for function, count in counted if count > COMPLEX[-1][0]]
    if figures.lines > LONG_FILE:
        findings.append(_finding(file, 1, "low", "long-file", f"The file has {figures.lines} lines, over {LONG_FILE}."))
    return Done(findings=tuple(findings), figures=(figures,))


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield each function of a module: nested ones and methods too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def complexity(function: Function) -> int:
    """Return the cyclomatic complexity of one function, by the rule above."""
    waiting: list[ast.AST] = list(function.body)
    count = 1
    while waiting:  # no recursion: the tree may be deeper than the stack
        node = waiting.pop()
        if not isinstance(node, _SCOPES):
            count += _adds(node)
            waiting.extend(ast.iter_child_nodes(node))
    return count


def _adds(node: ast.AST) -> int:
    match node:
        case ast.BoolOp(values=values):
            return len(values) - 1
        case ast.comprehension(ifs=ifs):
            return 1 + len(ifs)
        case ast.match_case(pattern=ast.MatchAs(pattern=None, name=None), guard=None):
            return 0
        case ast.match_case():
            return 1
        case _:
            return int(isinstance(node, _BRANCHES))


def _figures(file: Content, functions: int | None, most: int) -> Figures:
    lines = file.source.splitlines()
    stripped = [line.strip() for line in lines]
    return Figures(
        path=file.path,
        parsed=functions is not None,
        lines=len(lines),
        code=sum(bool(line) and not line.startswith(b"#") for line in stripped),
        functions=functions or 0,
        complexity=most,
        suppressions=sum(_SUPPRESSION.search(line) is not None for line in lines),
    )


def _complex(file: Content, function: Function, count: int) -> Finding:
    severity: Severity = next(severity for over, severity in COMPLEX if count > over)
    text = f"{function.name!r} has a cyclomatic complexity of {count}, over {COMPLEX[-1][0]}."
    return _finding(file, function.lineno, severity, "complexity", text)


def _unparsable(file: Content, trouble: Unparsable) -> Finding:
    return _finding(file, trouble.line, "high", "unparsable", f"{VERSION} cannot compile this file: {trouble.why}.")


def _finding(file: Content, line: int, severity: Severity, rule: str, text: str) -> Finding:
    return Finding(path=file.path, line=line, severity=severity, tool="metrics", rule=rule, text=clean(text))
