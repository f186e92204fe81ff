"""git, made safe for a repository that is against us: no configuration of theirs can start a program.

Rules of the file:

1. Only plumbing that reads objects and names: ``rev-parse``, ``ls-tree``, ``ls-files``, ``diff-tree``,
   ``cat-file``. None of them filters content, so no clean, smudge, textconv or external diff driver has a
   reason to run. ``status`` and ``diff`` would run clean filters.
2. What a repository's own configuration could still start (file system monitor, hooks, remote helpers for
   objects missing on purpose, pagers) is overridden from the environment, which passes every configuration
   file.
3. The git directory is named, never discovered; configuration of the system and of the user is not read.
4. Names come NUL-terminated; arguments from outside come after ``--end-of-options``.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Final

from .errors import BadCommits, BadSource, GitFailed, ToolMissing
from .finding import clean
from .limits import LISTING_BYTES
from .process import run
from .repository import Repository

SECONDS: Final = 60.0
OBJECT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEADER_BYTES: Final = 128

_OVERRIDES: Final = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.pager", "cat"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.sshCommand", "false"),
    ("core.askPass", "false"),
    ("core.alternateRefsCommand", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
)

_ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_LITERAL_PATHSPECS": "1",
    # Stronger than protocol.allow, which a repository's own protocol.<name>.allow would win against.
    "GIT_ALLOW_PROTOCOL": "none",
}


def environment(repository: Repository) -> dict[str, str]:
    """Return all of the environment in which git may look at `repository`."""
    top = repository.work_tree or repository.git_dir
    settings = [*_OVERRIDES, ("safe.directory", top)]
    named = {**_ENVIRONMENT, "GIT_DIR": repository.git_dir, "GIT_CONFIG_COUNT": str(len(settings))}
    if repository.work_tree is not None:
        named["GIT_WORK_TREE"] = repository.work_tree
    for at, (key, value) in enumerate(settings):
        named[f"GIT_CONFIG_KEY_{at}"], named[f"GIT_CONFIG_VALUE_{at}"] = key, value
    return named


async def git(repository: Repository, *arguments: str, stdin: bytes = b"", most: int = LISTING_BYTES) -> bytes:
    """Run one git command and return its output, at most `most` bytes of it, within :data:`SECONDS`.

    Raises:
        GitFailed: it ended with an error; the text has git's first line, without the machine's paths.
        ToolMissing, TookTooLong, SaidTooMuch: as named.

    """
    program = shutil.which("git")
    if program is None:
        raise ToolMissing("git is not installed, or not on PATH")
    done = await run(
        [program, *arguments],
        environment=environment(repository),
        cwd=repository.work_tree or repository.git_dir,
        stdin=stdin,
        seconds=SECONDS,
        most=most,
    )
    if done.code:
        raise GitFailed(f"git {arguments[0]} ended with {done.code}: {_why(repository, done.stderr)}", code=done.code)
    return done.stdout


async def resolve(repository: Repository, revision: str) -> str:
    """Return the id of the commit that `revision` names; raise :class:`BadCommits` if it names none."""
    try:
        said = await git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except GitFailed as error:
        raise BadCommits(f"{clean(revision)!r} names no commit of {repository.name}") from error
    return checked_object(said.decode("ascii", "replace").strip())


async def read_blobs(repository: Repository, blobs: Sequence[str], *, most: int) -> list[bytes]:
    """Return the contents of `blobs`, in their order; all of them together may be `most` bytes.

    Raises:
        BadSource: one is not the id of a blob in this repository.
        GitFailed, SaidTooMuch, TookTooLong: as named.

    """
    asked = "".join(f"{checked_object(blob)}\n" for blob in blobs).encode()
    said = await git(repository, "cat-file", "--batch", stdin=asked, most=most + _HEADER_BYTES * len(blobs))
    return list(_contents(said, blobs))


def _contents(said: bytes, blobs: Sequence[str]) -> Iterator[bytes]:
    at = 0
    for blob in blobs:
        end = said.find(b"\n", at)
        match said[at:end].split():
            case [_, b"blob", size]:
                at = end + 1 + int(size)
                yield said[end + 1 : at]
                at += 1
            case _:
                raise BadSource(f"{blob} is no blob of this repository", blob=blob)


def checked_object(name: str) -> str:
    """Return `name` if it is a full object id; raise :class:`BadSource` otherwise."""
    if not OBJECT.fullmatch(name):
        raise BadSource(f"{clean(name, most=80)!r} is no object id: 40 or 64 hex digits")
    return name


def _why(repository: Repository, stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "backslashreplace").splitlines() or ["it did not say why"]
    text = lines[0].replace(repository.git_dir, "<git directory>")
    return clean(text.replace(repository.work_tree, "<work tree>") if repository.work_tree else text)
