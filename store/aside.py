"""Moving a damaged database out of the way, whole."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .folder import sync_folder

# The file itself goes last: a log that stayed behind would be replayed into the next file of that name.
_PARTS: Final = ("-wal", "-shm", "-journal", "")


def set_aside(path: Path, *, now: float) -> Path:
    """Rename a database and its log to ``<name>.damaged-<UTC time>`` and return that path; nothing is overwritten.

    The database must be closed, and its lock held if others may open it. `now` is in Unix seconds. Raises
    ``FileNotFoundError`` if there is none at `path`. Ended halfway, it completes the same name when it is called again.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    target = next(name for name in _names(path, now) if _is_free(name, path))
    for part in _PARTS:
        if _part(path, part).exists():
            _part(path, part).rename(_part(target, part))
    sync_folder(path.parent)
    return target


def _names(path: Path, now: float) -> Iterator[Path]:
    """Yield the name of one that was ended halfway, then names of this second."""
    for log in sorted(path.parent.glob(f"{path.name}.damaged-*-wal")):
        begun = log.with_name(log.name.removesuffix("-wal"))
        if not begun.exists():
            yield begun
    name = f"{path.name}.damaged-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    yield path.with_name(name)
    for n in itertools.count(2):
        yield path.with_name(f"{name}.{n}")


def _part(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)


def _is_free(target: Path, source: Path) -> bool:
    """Whether nothing of the source would replace anything, and nothing of the target is of another database."""
    there = {part for part in _PARTS if _part(target, part).exists()}
    return "" not in there and not any(_part(source, part).exists() for part in there)
