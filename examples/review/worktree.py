"""Whether the work tree differs from a commit, found out without ``git status``.

``git status`` runs the repository's clean filters over each file that looks changed. Here the files are
hashed by our own hand. What a filter rewrites at checkout therefore counts as different, line endings
excepted.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from .errors import SaidTooMuch
from .git import git
from .limits import LIMITS
from .repository import Repository
from .tree import entries

_SHA1_DIGITS: Final = 40
_LINKS_AND_SUBMODULES: Final = (b"120000", b"160000")


class _Tracked(msgspec.Struct, frozen=True):
    """One entry of the index; `sparse` ones are not expected in the work tree."""

    mode: bytes
    blob: str
    path: bytes
    sparse: bool


async def differs(repository: Repository, commit: str) -> bool:
    """Return whether index or work tree hold anything that `commit` does not; never for a bare repository.

    Links, submodules and files of more than 1 MiB are compared by the index alone.
    """
    if repository.work_tree is None:
        return False
    listing = await git(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", commit)
    index = list(_tracked(await git(repository, "ls-files", "-z", "-s", "-t")))
    committed = {(entry.path, entry.blob, entry.mode) for entry in entries(listing)}
    if committed != {(each.path, each.blob, each.mode) for each in index} or await _untracked(repository):
        return True
    return await anyio.to_thread.run_sync(_any_changed, Path(repository.work_tree), index, abandon_on_cancel=True)


async def _untracked(repository: Repository) -> bool:
    try:
        listed = await git(
            repository,
            "ls-files",
            "-z",
            "-o",
            "--exclude-standard",
            "--directory",
            "--no-empty-directory",
            most=1024 * 1024,
        )
    except SaidTooMuch:
        return True
    return bool(listed)


def _tracked(listing: bytes) -> Iterable[_Tracked]:
    for line in listing.split(b"\0"):
        facts, tab, path = line.partition(b"\t")
        if tab:
            tag, mode, blob, _stage = facts.split()
            yield _Tracked(mode, blob.decode("ascii"), path, tag == b"S")


def _any_changed(top: Path, index: Iterable[_Tracked]) -> bool:
    read = 0
    for each in index:
        if each.sparse or each.mode in _LINKS_AND_SUBMODULES:
            continue
        content = _read(top, each.path)
        if content is None:
            return True
        read += len(content)
        if read > LIMITS.total:
            return False
        if len(content) <= LIMITS.file and not _same(content, each.blob):
            return True
    return False


def _read(top: Path, path: bytes) -> bytes | None:
    """Return the content of a regular file, the limit and a byte at most; None if it is none."""
    name = os.fsencode(top) + b"/" + path
    directory = os.path.dirname(name)  # noqa: PTH120 - names are bytes here
    if os.path.realpath(directory) != directory:
        return None  # a directory on the way has become a symbolic link
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(LIMITS.file + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _same(content: bytes, blob: str) -> bool:
    return _hash(content, blob) == blob or _hash(content.replace(b"\r\n", b"\n"), blob) == blob


def _hash(content: bytes, blob: str) -> str:
    algorithm = hashlib.sha1(usedforsecurity=False) if len(blob) == _SHA1_DIGITS else hashlib.sha256()
    algorithm.update(b"blob %d\0" % len(content) + content)
    return algorithm.hexdigest()
