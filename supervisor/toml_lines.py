"""Where in a fleet file a fault stands: ``file:line: key: what is wrong``.

The parser keeps no positions, so the line is looked for in the text: the header of the key's table, then the key.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

_STEP: Final = re.compile(r"\.([a-z_]+)(?:\[(\d+)\])?")
Tables = Mapping[str, type[msgspec.Struct]]
"""What each kind of table may hold; the file itself is ``""``."""


class Fault(Exception):
    """What is wrong, and the key that it is about, such as ``$.actor[1].cell``."""

    def __init__(self, text: str, at: str) -> None:
        super().__init__(text)
        self.text, self.at = text, at


def explain(path: Path, text: str, error: str, *, tables: Tables, at: str = "") -> str:
    """Return `error` with its place in `text`; the key is `at`, or stands at the end of what msgspec says."""
    what, _, place = error.partition(" - at `")
    key = at or place.rstrip("`") or "$"
    unknown = re.search(r"unknown field `(\w+)`", what)
    if unknown and ".options" not in key:
        key = f"{key}.{unknown.group(1)}"
        what = f"{what}; legal: {_legal_keys(key, tables)}"
    if what.startswith("Invalid enum value") and (values := _legal_values(key, tables)):
        what = f"{what}; legal: {', '.join(values)}"
    return f"{path}:{line_of(text, key)}: {key.removeprefix('$.') or 'file'}: {what}"


def _legal_keys(key: str, tables: Tables) -> str:
    steps = ["", *(step for step, _ in _STEP.findall(key))]
    table = tables.get(steps[-2], tables[""])
    return ", ".join(table.__struct_fields__)


def _legal_values(key: str, tables: Tables) -> list[str]:
    """Return the words that a key may have, if it may have only some."""
    names = ["", *(step for step, _ in _STEP.findall(key))]
    table = tables.get(names[-2])
    return [] if table is None else [*_words(get_type_hints(table).get(names[-1]))]


def _words(kind: Any) -> Iterator[str]:
    for part in get_args(kind):
        if get_origin(kind) is Literal:
            yield str(part)
        else:
            yield from _words(part)


def line_of(text: str, key: str) -> int:
    """Return the line of a key such as ``$.actor[1].health.silent_after`` in TOML `text`; 1 if it is not written."""
    steps = _STEP.findall(key)
    if not steps:
        return 1
    lines = text.splitlines()
    at, header = _find_table(lines, steps[:-1])
    for name, _ in reversed(steps):
        written = re.compile(rf"\s*(\[+\s*)?({re.escape(header)}\.)?{re.escape(name)}\b")
        hit = next((number for number in range(at, len(lines)) if written.match(lines[number])), None)
        if hit is not None:
            return hit + 1
    return at + 1


def _find_table(lines: list[str], steps: list[tuple[str, str]]) -> tuple[int, str]:
    """Return the index of the line with the header of a key's table, and that header; 0 if none is written."""
    at, header = 0, ""
    for step, index in steps:
        header = f"{header}.{step}".lstrip(".")
        pattern = re.compile(rf"\s*\[+\s*{re.escape(header)}\s*\]+")
        hits = [number for number, line in enumerate(lines) if number >= at and pattern.match(line)]
        if hits:
            at = hits[min(int(index or 0), len(hits) - 1)]
    return at, header
