"""The contents of a batch, read from git by object id: never from the work tree, never by way of a disk.

An id names the same bytes for ever. So a batch asked for twice is the same batch, whatever happened in
between.
"""

from collections.abc import Sequence

from .errors import BadSource
from .git import read_blobs
from .job import Content
from .limits import BATCH_FILES, LIMITS
from .repository import Repository
from .tree import Source


async def contents(repository: Repository, files: Sequence[Source]) -> tuple[Content, ...]:
    """Return each file with its bytes.

    Raises:
        BadSource: too many files, one over the size limit, or one that is no blob of the repository.
        GitFailed, SaidTooMuch, TookTooLong: as named.

    """
    if len(files) > BATCH_FILES or any(not 0 <= file.size <= LIMITS.file for file in files):
        raise BadSource(f"a batch has at most {BATCH_FILES} files of at most {LIMITS.file} bytes")
    if not files:
        return ()
    sources = await read_blobs(repository, [file.blob for file in files], most=sum(file.size for file in files))
    return tuple(Content(file.path, source) for file, source in zip(files, sources, strict=True))
