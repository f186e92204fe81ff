"""Moving a damaged database out of the way, whole."""

import itertools
import os
from pathlib import Path
from typing import Final

# The file itself goes last: a log that stayed behind would be replayed into the next file of that name.
_PARTS: Final = ("-wal", "-shm", "-journal", "")


def set_aside(path: Path) -> Path:
    """Rename a database and its log to ``<name>.corrupt-<n>`` and return that path; nothing is overwritten.

    The database must be closed. Raises ``FileNotFoundError`` if there is none at `path`. Ended halfway, it
    completes the same name when it is called again.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    names = (path.with_name(f"{path.name}.corrupt-{n}") for n in itertools.count(1))
    target = next(name for name in names if _is_free(name, path))
    for part in _PARTS:
        if _part(path, part).exists():
            _part(path, part).rename(_part(target, part))
    _sync_folder(path.parent)
    return target


def _part(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)


def _is_free(target: Path, source: Path) -> bool:
    return not any(_part(target, part).exists() and _part(source, part).exists() for part in _PARTS)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
