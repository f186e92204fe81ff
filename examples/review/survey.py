"""The survey: what there is to review in a repository, page by page.

A page is a function of the commits alone, so that a surveyor killed between two pages changes nothing: the
second page is asked for by the commit ids that the first one named.
"""

from collections.abc import Sequence
from typing import Final

import anyio.to_thread
import msgspec

from .commits import parse
from .errors import BadCommits, RepositoryTooLarge, SaidTooMuch
from .git import git, resolve
from .limits import BATCH_BYTES, BATCH_FILES, LIMITS, LISTING_BYTES, MIB, Limits
from .repository import Repository
from .tree import Source, Tree, is_test, select
from .worktree import differs

DIRTY: Final = "The work tree differs from the commit: what is not committed is not reviewed."
NO_TESTS: Final = "There are no test files: public functions are not checked for mentions in tests."


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One page of a survey. `commit` is reviewed; with a `base`, only what differs from it."""

    repository: str
    commit: str
    base: str | None
    files: tuple[Source, ...]
    page: int
    pages: int
    notes: tuple[str, ...]
    """The same on each page, but the one on the work tree, which only the first page has."""

    @property
    def commits(self) -> str:
        """The commits in the form in which the next page is asked for."""
        return f"{self.base}..{self.commit}" if self.base else self.commit


async def survey(repository: Repository, commits: str = "", *, page: int = 0, limits: Limits = LIMITS) -> Page:
    """Return page `page`, counted from 0, of what `commits` names.

    Raises:
        BadCommits: they cannot be read, or name no commit.
        RepositoryTooLarge: the listing alone passes its limit.
        GitFailed, TookTooLong: as named.

    """
    asked = parse(commits)
    commit = await resolve(repository, asked.tip)
    base = None if asked.base is None else await resolve(repository, asked.base)
    chosen, tested = await _choose(repository, commit, base=base, limits=limits)
    pages = await anyio.to_thread.run_sync(_pages, chosen.files, limits)
    notes = list(chosen.notes) + ([] if tested else [NO_TESTS])
    if page == 0 and await _is_head(repository, commit) and await differs(repository, commit):
        notes.append(DIRTY)
    return Page(
        repository=repository.name,
        commit=commit,
        base=base,
        files=pages[page] if page < len(pages) else (),
        page=page,
        pages=len(pages),
        notes=tuple(notes),
    )


async def tree_of(repository: Repository, commit: str, *, limits: Limits = LIMITS) -> Tree:
    """Return all Python files of `commit`, within `limits`."""
    return await anyio.to_thread.run_sync(
        lambda listing: select(listing, limits=limits), await list_tree(repository, commit)
    )


async def list_tree(repository: Repository, commit: str) -> bytes:
    """Return what ``git ls-tree`` says of `commit`; raise RepositoryTooLarge where that is too much."""
    try:
        return await git(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", commit)
    except SaidTooMuch as error:
        raise RepositoryTooLarge(
            f"the tree of {repository.name} takes more than {LISTING_BYTES // MIB} MiB to list"
        ) from error


async def _is_head(repository: Repository, commit: str) -> bool:
    try:
        return commit == await resolve(repository, "HEAD")
    except BadCommits:
        return False  # a branch without a commit is checked out


async def _choose(repository: Repository, commit: str, *, base: str | None, limits: Limits) -> tuple[Tree, bool]:
    listing = await list_tree(repository, commit)
    changed = None if base is None else await _changed(repository, base, commit)
    chosen = await anyio.to_thread.run_sync(lambda: select(listing, limits=limits, only=changed))
    whole = chosen if changed is None else await anyio.to_thread.run_sync(lambda: select(listing, limits=limits))
    return chosen, any(is_test(file.path) for file in whole.files)


async def _changed(repository: Repository, base: str, commit: str) -> frozenset[bytes]:
    said = await git(
        repository,
        "diff-tree",
        "-r",
        "-z",
        "--name-only",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=all",
        "--diff-filter=d",
        "--end-of-options",
        base,
        commit,
    )
    return frozenset(said.split(b"\0"))


def _pages(files: Sequence[Source], limits: Limits) -> list[tuple[Source, ...]]:
    pages: list[list[Source]] = [[]]
    size = 0
    for file in files:
        cost = len(msgspec.json.encode(file))
        if pages[-1] and (len(pages[-1]) == limits.page_files or size + cost > limits.page_bytes):
            pages.append([])
            size = 0
        pages[-1].append(file)
        size += cost
    return [tuple(page) for page in pages]


def batches(files: Sequence[Source]) -> list[tuple[Source, ...]]:
    """Split `files` into what one analyser takes at once; the same files always split the same way."""
    made: list[list[Source]] = []
    size = 0
    for file in files:
        if not made or len(made[-1]) == BATCH_FILES or size + file.size > BATCH_BYTES:
            made.append([])
            size = 0
        made[-1].append(file)
        size += file.size
    return [tuple(batch) for batch in made]
