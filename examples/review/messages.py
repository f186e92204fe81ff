"""What the agents of this fleet say to each other, and what outsiders may say to the editor."""

from typing import Annotated

import msgspec

from callboard import Message, Untrusted

from .finding import Finding
from .inspection import Inspection
from .report import FileReport, Format, Overview, Summary
from .survey import Page
from .tree import Source

Path = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Revisions = Annotated[str, msgspec.Meta(max_length=420)]


class ReviewRequest(Message):
    """Review the repository at `path`: its HEAD, the tree at a revision, or the files changed in ``A..B``."""

    path: Path
    commits: Revisions = ""
    format: Format = "json"


class Review(Message):
    """The report of a review, field by field that of :class:`.report.Report`."""

    repository: str
    commit: str
    base: str | None
    summary: Summary
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    files: tuple[FileReport, ...]
    text: Untrusted[str]
    sarif: str | None = None
    overview: Overview | None = None


class ReviewTask(Message):
    """Review as durable work: the report is written to a file, and announced on ``reviews``.

    Enqueue it: however often the fleet is killed meanwhile, there is one report, and nothing that was inspected is
    inspected again.
    """

    path: Path
    commits: Revisions = ""
    format: Format = "json"


class Reviewed(Message):
    """A report was written."""

    task: str
    file: str
    findings: int


class Survey(Message):
    """What is there to review? Pages count from 0."""

    path: Path
    commits: Revisions = ""
    page: Annotated[int, msgspec.Meta(ge=0)] = 0


class Surveyed(Message):
    """One page of the survey."""

    page: Page


class Inspect(Message):
    """Look at these files of the repository at `path`, as they are at `commit`."""

    path: Path
    commit: str
    files: tuple[Source, ...]


class Inspected(Message):
    """What one analyser has to say about one batch."""

    inspection: Inspection
