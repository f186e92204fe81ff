"""What can go wrong in a review, sorted by whose fault it is."""

from typing import Final

from callboard.errors import CallerError, WorldError


class OutsideRoots(CallerError):
    """A path leads out of the configured roots."""


class NotARepository(CallerError):
    """There is no git repository at that path, or one in a form that is not read here."""


class BadCommits(CallerError):
    """The commits of a request cannot be read, or do not exist."""


class RepositoryTooLarge(CallerError):
    """The repository passes a limit of the survey as a whole."""


class BadSource(CallerError):
    """A file named in a batch is not what a survey would name."""


CALLER_FAULTS: Final = frozenset(
    each.__name__ for each in (OutsideRoots, NotARepository, BadCommits, RepositoryTooLarge, BadSource)
)
"""Names of the errors above: an actor whose handler raised one says its name, and would raise it again."""


class GitFailed(WorldError):
    """git ended with an error."""


class ToolFailed(WorldError):
    """An analyser was ended from outside, or is itself at fault; the same batch may be tried again."""


class ToolMissing(WorldError):
    """A program or package that the review needs is not installed."""


class TookTooLong(WorldError):
    """A process was ended at its time limit."""


class SaidTooMuch(WorldError):
    """A process was ended at its output limit."""
