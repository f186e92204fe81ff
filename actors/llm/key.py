"""Keys for models' APIs: read where the settings point, and kept out of every text."""

import os
from pathlib import Path

from .errors import BadModelKey


def read_key(*, file: str = "", variable: str = "", home: Path = Path()) -> str:
    """Return the key in a file of its owner alone, or in a variable; empty if neither is named. Raises BadModelKey.

    A relative file lies below `home`, the folder of the fleet file.
    """
    if variable:
        return _checked(os.environ.get(variable, ""), f"the variable {variable}")
    return _checked(_read(home / Path(file).expanduser()), file) if file else ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise BadModelKey(f"{path} can be read by others: chmod 600 it", path=str(path))
            return opened.read(4_096).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not plain text"
        raise BadModelKey(f"no key can be read from {path}: {why}", path=str(path)) from None


def _checked(text: str, where: str) -> str:
    """A key goes into a header: one word of visible ASCII."""
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadModelKey(f"{where} holds no key: it must be one word of visible ASCII", place=where)
    return key
