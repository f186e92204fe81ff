"""The path gate: an actor reads only what lies under its configured roots, symbolic links resolved."""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from .errors import OutsideRoots


class RootOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of every actor of this fleet that touches a path."""

    roots: tuple[str, ...] = (".",)
    """Directories under which repositories may lie; relative ones start where ``callboard up`` runs."""


class EditorOptions(RootOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of the editor."""

    reports: str = "reports"
    """Where the reports of enqueued reviews are written; relative: to where ``callboard up`` runs."""


class Gate:
    """Holds paths to the roots it was made with."""

    def __init__(self, roots: Iterable[str], *, base: Path | None = None) -> None:
        self._base = Path.cwd() if base is None else base
        self._roots = tuple(Path(os.path.realpath(self._base / root)) for root in roots)

    def check(self, path: str | Path) -> Path:
        """Return the real path of `path` if it is a root or lies below one.

        What is not there is refused in the same words as what may not be seen, so that a refusal tells
        nothing.

        Raises:
            OutsideRoots: it leads out of the roots, or cannot be a path.

        """
        if not str(path) or "\0" in str(path):
            raise OutsideRoots(f"{shown(path)} is not a path under the review roots: name a directory")
        real = Path(os.path.realpath(self._base / path))
        if not any(real.is_relative_to(root) for root in self._roots):
            raise OutsideRoots(
                f"{shown(path)} is outside the review roots: name a path under one of them, "
                "or add its parent to 'roots' in [actor.options] of each actor of the fleet file"
            )
        return real


def shown(path: str | Path) -> str:
    """Return `path` as an error message shows it: quoted, escaped and short."""
    text = ascii(str(path))
    return text if len(text) <= 120 else text[:116] + "...'"
