"""The tree of a commit as git lists it: which of its files are reviewed, and what is left out and why."""

from collections import Counter
from collections.abc import Container, Iterator
from pathlib import PurePosixPath
from typing import Final

import msgspec

from .limits import KIB, MIB, Limits

_REGULAR: Final = (b"100644", b"100755", b"100664")
_KINDS: Final = {b"120000": "symbolic links", b"160000": "submodules"}


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file at one commit. `blob` is its content's object id, `size` its length in bytes."""

    path: str
    blob: str
    size: int


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """The Python files to review, in the order of their paths, and notes on what is left out."""

    files: tuple[Source, ...]
    notes: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """One line of ``git ls-tree -r -z -l``; `size` is -1 where there is no object to measure."""

    mode: bytes
    blob: str
    size: int
    path: bytes


def entries(listing: bytes) -> Iterator[Entry]:
    """Read the output of ``git ls-tree -r -z -l --full-tree``."""
    for line in listing.split(b"\0"):
        facts, tab, path = line.partition(b"\t")
        if tab:
            mode, _kind, blob, size = facts.split()
            yield Entry(mode, blob.decode("ascii"), int(size) if size.isdigit() else -1, path)


def select(listing: bytes, *, limits: Limits, only: Container[bytes] | None = None) -> Tree:
    """Choose the files to review from a listing; with `only`, among those paths."""
    chosen: list[Source] = []
    left_out: Counter[str] = Counter()
    total = 0
    for entry in sorted(entries(listing), key=lambda each: each.path):
        if (only is not None and entry.path not in only) or not _counts(entry):
            continue
        why = _unfit(entry, limits) or _over(len(chosen), total + entry.size, limits)
        if why:
            left_out[why] += 1
            continue
        total += entry.size
        chosen.append(Source(path=entry.path.decode(), blob=entry.blob, size=entry.size))
    return Tree(
        files=tuple(chosen),
        notes=tuple(f"Left out: {count} {why}." for why, count in sorted(left_out.items())),
    )


def _counts(entry: Entry) -> bool:
    return entry.mode in _KINDS or (entry.mode in _REGULAR and entry.path.endswith(b".py"))


def _unfit(entry: Entry, limits: Limits) -> str | None:
    """Return why an entry that counts is left out, or None."""
    if entry.mode in _KINDS:
        return _KINDS[entry.mode]
    if not _decodes(entry.path):
        return "Python files whose names are not UTF-8"
    if len(entry.path) > limits.path:
        return f"Python files with a path of more than {limits.path} bytes"
    if entry.size < 0:
        return "Python files whose content is not in the repository"
    return f"Python files of more than {limits.file // KIB} KiB" if entry.size > limits.file else None


def _over(files: int, total: int, limits: Limits) -> str | None:
    if files >= limits.files:
        return f"Python files beyond the first {limits.files}"
    return f"Python files beyond {limits.total // MIB} MiB in all" if total > limits.total else None


def _decodes(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_test(path: str) -> bool:
    """Return whether a file counts as a test: by its name, or by a directory called ``test`` or ``tests``."""
    pure = PurePosixPath(path)
    if pure.name.startswith("test_") or pure.name.endswith("_test.py") or pure.name == "conftest.py":
        return True
    return any(part in ("test", "tests") for part in pure.parts[:-1])
