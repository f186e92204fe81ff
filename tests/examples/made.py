"""Small repositories made on the spot, and the whole review of one without any actor."""

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from examples.review.content import contents
from examples.review.gaps import with_untested
from examples.review.inspection import Inspection, inspection
from examples.review.mentions import Mentions
from examples.review.report import Report, compose
from examples.review.repository import Repository, open_repository
from examples.review.roots import RootOptions
from examples.review.run_ruff import lint
from examples.review.survey import batches, survey
from examples.review.tally import Tally
from examples.review.tree import Source
from examples.review.workshop import work

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}


class MadeRepository:
    """A git repository of a test, written with git's own porcelain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str | bytes, stdin: bytes = b"") -> str:
        """Run git as the owner of the repository would."""
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env=ENVIRONMENT,
            input=stdin,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def write(self, name: str | bytes, text: str | bytes) -> Path:
        """Write a file of the work tree."""
        path = Path(os.fsdecode(os.fsencode(self.path) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def commit(self, **files: str | bytes) -> str:
        """Write ``name="text"`` as ``name.py`` each, commit the whole work tree, return the commit's id."""
        for name, text in files.items():
            self.write(f"{name}.py", text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--no-verify", "--message=x")
        return self.git("rev-parse", "HEAD")


class Reviewer:
    """All that the agents do, done in one process and in an order of one's own choice."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.options = RootOptions(roots=roots)

    async def open(self, made: MadeRepository | Path) -> Repository:
        """Return the repository as an agent opens it."""
        return await open_repository(str(made if isinstance(made, Path) else made.path), self.options)

    async def inspections(self, repository: Repository, commits: str = "") -> list[Inspection]:
        """Return what every analyser says of every batch."""
        page = await survey(repository, commits)
        return [each for batch in batches(page.files) for each in await self.inspect(repository, page.commit, batch)]

    async def inspect(self, repository: Repository, commit: str, batch: tuple[Source, ...]) -> list[Inspection]:
        """Return what every analyser says of one batch."""
        files = await contents(repository, batch)
        mentioned = await Mentions().of(repository, commit)
        return [
            inspection("ruff", await lint(files)),
            inspection("bandit", await work("bandit", files)),
            inspection("metrics", await work("metrics", files)),
            inspection("gaps", with_untested(await work("gaps", files), mentioned)),
        ]

    async def review(
        self,
        made: MadeRepository | Path,
        commits: str = "",
        *,
        sarif: bool = False,
        order: Callable[[list[Inspection]], None] = random.shuffle,
    ) -> Report:
        """Return the report, with the answers merged in the order that `order` gives them."""
        repository = await self.open(made)
        page = await survey(repository, commits)
        answers = await self.inspections(repository, commits)
        order(answers)
        tally = Tally()
        for answer in answers:
            tally.add(answer)
        return compose(page, tally, files=len(page.files), sarif=sarif)
