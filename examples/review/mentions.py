"""Which names the test files of a commit mention, remembered for the commits asked about last."""

from collections import OrderedDict
from typing import Final

import anyio
import anyio.to_thread

from .content import contents
from .gaps import words
from .job import Content
from .repository import Repository
from .survey import batches, tree_of
from .tree import is_test

_REMEMBERED: Final = 4


class Mentions:
    """A cache that may be lost at any time: what is not remembered is read again, and is the same."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], frozenset[str] | None] = OrderedDict()
        self._reading = anyio.Lock()

    async def of(self, repository: Repository, commit: str) -> frozenset[str] | None:
        """Return all identifiers in the test files of `commit`; None if it has no test files."""
        key = (repository.git_dir, commit)
        async with self._reading:
            if key not in self._known:
                self._known[key] = await _read(repository, commit)
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return self._known[key]


async def _read(repository: Repository, commit: str) -> frozenset[str] | None:
    tests = [file for file in (await tree_of(repository, commit)).files if is_test(file.path)]
    mentioned: set[str] = set()
    for batch in batches(tests):
        mentioned |= await anyio.to_thread.run_sync(_all_words, await contents(repository, batch))
    return frozenset(mentioned) if tests else None


def _all_words(files: tuple[Content, ...]) -> set[str]:
    return set[str]().union(*(words(file.source) for file in files))
