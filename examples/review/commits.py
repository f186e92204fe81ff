"""What the ``commits`` of a request mean."""

import re
from typing import Final

import msgspec

from .errors import BadCommits
from .finding import clean

_LONGEST: Final = 200
_REVISION: Final = re.compile(r"[\w@][\w./~^@#%+=,-]*")
LEGAL: Final = "use '' (HEAD), 'REV' (the tree at REV) or 'A..B' (files changed between them)"


class Commits(msgspec.Struct, frozen=True, kw_only=True):
    """The tree to review is that at `tip`; with a `base`, only the files that differ from it."""

    base: str | None
    tip: str


def parse(commits: str) -> Commits:
    """Read ``''``, ``REV``, ``A..B``, ``A..`` or ``..B``; an empty side is HEAD, as in git.

    Raises:
        BadCommits: anything else, a revision that starts with ``-``, and ranges with three dots.

    """
    if not commits:
        return Commits(base=None, tip="HEAD")
    base, dots, tip = commits.partition("..")
    if not dots:
        return Commits(base=None, tip=_revision(base))
    return Commits(base=_revision(base or "HEAD"), tip=_revision(tip or "HEAD"))


def _revision(text: str) -> str:
    if len(text) > _LONGEST or ".." in text or not _REVISION.fullmatch(text):
        raise BadCommits(f"{clean(text, most=60)!r} is not a revision that is read here: {LEGAL}")
    return text
