"""Where a repository lies: its git directory found by our own hand, with every road out of the roots closed.

git's own discovery would follow a ``.git`` file, ``commondir``, ``objects/info/alternates`` and symbolic
links to wherever they point. A hostile repository could so have another one reviewed in its place.
"""

import os
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from .errors import NotARepository
from .finding import clean
from .roots import Gate, RootOptions, shown

_POINTER_BYTES: Final = 4096
_ALTERNATES_DEEP: Final = 5
_LISTED: Final = (".", "objects", "objects/info", "objects/pack", "refs", "refs/heads", "info")
"""Directories of a git directory in which a symbolic link is looked for."""


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A checked repository; all its directories lie under the roots."""

    name: str
    git_dir: str
    work_tree: str | None
    """None for a bare repository."""


async def open_repository(path: str, options: RootOptions) -> Repository:
    """Return the repository whose top directory is `path`.

    Raises:
        OutsideRoots: the path, or something its git directory refers to, leads out of the roots.
        NotARepository: there is none, or `path` is not its top directory.

    """
    return await anyio.to_thread.run_sync(locate, path, Gate(options.roots))


def locate(path: str, gate: Gate) -> Repository:
    """Do the work of :func:`open_repository`, blocking."""
    top = gate.check(path)
    try:
        git_dir, bare = _git_dir(top, gate)
        for directory in {git_dir, _common_dir(git_dir, gate)}:
            _check_links(directory, gate)
            _check_alternates(directory / "objects", gate, deep=_ALTERNATES_DEEP)
    except OSError as error:
        raise NotARepository(f"{shown(path)} cannot be read as a repository: {error.strerror}") from error
    return Repository(name=_name(top), git_dir=str(git_dir), work_tree=None if bare else str(top))


def _git_dir(top: Path, gate: Gate) -> tuple[Path, bool]:
    dot = gate.check(top / ".git")
    if dot.is_dir():
        return dot, False
    if dot.is_file():
        return _pointed_at(dot, gate), False
    if (top / "HEAD").is_file() and (top / "objects").is_dir():
        return top, True
    raise NotARepository(f"{shown(top.name)} has no .git: name the top directory of a git repository")


def _pointed_at(dot: Path, gate: Gate) -> Path:
    """Follow the .git file of a linked work tree or a submodule."""
    text = _pointer(dot)
    if not text.startswith("gitdir:"):
        raise NotARepository(f"{shown(dot.parent.name)} has a .git file that names no git directory")
    found = gate.check(dot.parent / text.removeprefix("gitdir:").strip())
    if not found.is_dir():
        raise NotARepository(f"the .git file of {shown(dot.parent.name)} names a directory that is not there")
    return found


def _common_dir(git_dir: Path, gate: Gate) -> Path:
    pointer = gate.check(git_dir / "commondir")
    return gate.check(git_dir / _pointer(pointer).strip()) if pointer.is_file() else git_dir


def _pointer(path: Path) -> str:
    with path.open("rb") as file:
        text = file.read(_POINTER_BYTES + 1)
    if len(text) > _POINTER_BYTES:
        raise NotARepository(f"its {shown(path.name)} is longer than the {_POINTER_BYTES} bytes that are read here")
    return os.fsdecode(text)


def _check_links(git_dir: Path, gate: Gate) -> None:
    for name in _LISTED:
        directory = gate.check(git_dir / name)
        if not directory.is_dir():
            continue
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink():
                    gate.check(entry.path)


def _check_alternates(objects: Path, gate: Gate, *, deep: int) -> None:
    alternates = gate.check(objects / "info" / "alternates")
    if not alternates.is_file():
        return
    if deep == 0:
        raise NotARepository("its alternate object directories are nested too deeply to be checked")
    for line in _pointer(alternates).splitlines():
        if line.startswith('"'):
            raise NotARepository("it has a quoted alternate object directory, which is not read here")
        if line and not line.startswith("#"):
            _check_alternates(gate.check(objects / line), gate, deep=deep - 1)


def _name(top: Path) -> str:
    name = os.fsencode(top.name).decode("utf-8", "backslashreplace")
    return clean(name.removesuffix(".git"), most=100) or "repository"
