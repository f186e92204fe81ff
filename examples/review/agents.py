"""The six agents. Each has one job; the work itself is in the plain modules beside this one.

Only the editor speaks to the others. A batch names its files by the ids of their contents, so an analyser
killed with a batch in hand is asked again and answers the same.
"""

from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from callboard import Actor, Context, Grant, receive

from .content import contents
from .fanout import fan_out, persist
from .gaps import with_untested
from .git import checked_object
from .inspection import Inspection, inspection
from .mentions import Mentions
from .messages import Inspect, Inspected, Review, Reviewed, ReviewRequest, ReviewTask, Survey, Surveyed
from .overview import overview_of
from .report import compose, with_overview
from .repository import open_repository
from .roots import EditorOptions, RootOptions
from .run_ruff import lint
from .survey import Page, batches, survey
from .tally import Tally
from .tree import Source
from .verdicts import note_of, rank_by, recalled, remember
from .workshop import work

SURVEY_SECONDS: Final = 180.0
BATCH_SECONDS: Final = 600.0
"""Long enough for a batch of which every file runs into its own time limit."""
AT_ONCE: Final = 8


class Surveyor(Actor):
    """Say which files of a repository are to be reviewed, and at which commit."""

    Options = RootOptions
    options: RootOptions

    @receive
    async def survey(self, message: Survey, ctx: Context) -> Surveyed:  # noqa: ARG002 - a handler takes it
        """Answer with one page of the survey."""
        repository = await open_repository(message.path, self.options)
        return Surveyed(page=await survey(repository, message.commits, page=message.page))


class Ruff(Actor):
    """Lint a batch of files with ruff."""

    Options = RootOptions
    options: RootOptions

    @receive
    async def inspect(self, message: Inspect, ctx: Context) -> Inspected:  # noqa: ARG002 - the same
        """Answer with ruff's findings."""
        repository = await open_repository(message.path, self.options)
        done = await lint(await contents(repository, message.files))
        return Inspected(inspection=inspection("ruff", done))


class Bandit(Actor):
    """Look for security trouble in a batch of files with bandit."""

    Options = RootOptions
    options: RootOptions

    @receive
    async def inspect(self, message: Inspect, ctx: Context) -> Inspected:  # noqa: ARG002 - the same
        """Answer with bandit's findings."""
        repository = await open_repository(message.path, self.options)
        done = await work("bandit", await contents(repository, message.files))
        return Inspected(inspection=inspection("bandit", done))


class Metrics(Actor):
    """Measure complexity and size of a batch of files."""

    concurrency = 2
    Options = RootOptions
    options: RootOptions

    @receive
    async def inspect(self, message: Inspect, ctx: Context) -> Inspected:  # noqa: ARG002 - the same
        """Answer with figures, and findings where they pass a threshold."""
        repository = await open_repository(message.path, self.options)
        done = await work("metrics", await contents(repository, message.files))
        return Inspected(inspection=inspection("metrics", done))


class Gaps(Actor):
    """Find long functions, and public ones that no test file mentions."""

    concurrency = 2
    Options = RootOptions
    options: RootOptions

    def __init__(self) -> None:
        self._mentions = Mentions()

    @receive
    async def inspect(self, message: Inspect, ctx: Context) -> Inspected:  # noqa: ARG002 - the same
        """Answer with the gaps."""
        repository = await open_repository(message.path, self.options)
        mentioned = await self._mentions.of(repository, checked_object(message.commit))
        done = await work("gaps", await contents(repository, message.files))
        return Inspected(inspection=inspection("gaps", with_untested(done, mentioned)))


DESKS: Final = (Bandit.inspect, Gaps.inspect, Metrics.inspect, Ruff.inspect)
NAMES: Final = ("bandit", "gaps", "metrics", "ruff")


class Editor(Actor):
    """Have a repository surveyed and inspected, and write the report."""

    concurrency = 4
    may = Grant(ask=("surveyor", "ruff", "bandit", "metrics", "gaps"), publish=("reviews",), act=("write-report",))
    Options = EditorOptions
    options: EditorOptions

    @receive
    async def review(self, message: ReviewRequest, ctx: Context) -> Review:
        """Answer with the report; the same commits always give the same bytes."""
        return await self._reviewed(message, ctx)

    @receive
    async def write(self, message: ReviewTask, ctx: Context) -> None:
        """Write the report to a file, and announce it. As a task each answer is a step, and the writing an act."""
        review = await self._reviewed(message, ctx)
        text = msgspec.json.encode(review).decode()
        file = await ctx.act("write-report", self._write, ctx.message_id, text)
        await ctx.publish("reviews", Reviewed(task=ctx.message_id, file=file, findings=review.summary.findings))

    async def _reviewed(self, message: ReviewRequest | ReviewTask, ctx: Context) -> Review:
        await open_repository(message.path, self.options)
        first, files = await _surveyed(message, ctx)
        verdicts = await recalled(first.repository, ctx)
        tally = Tally(order=lambda finding: rank_by(verdicts, finding, first.repository))
        await _inspect(message.path, first.commit, files, tally, ctx)
        first = msgspec.structs.replace(first, notes=(*first.notes, *note_of(verdicts)))
        report = await anyio.to_thread.run_sync(
            lambda: compose(first, tally, files=len(files), sarif=message.format == "sarif")
        )
        report = with_overview(report, *await overview_of(report, ctx))
        await remember(report.findings, first.repository, ctx)
        return Review(**{name: getattr(report, name) for name in report.__struct_fields__})

    async def _write(self, task: str, text: str) -> str:
        folder = anyio.Path(self.options.reports)
        await folder.mkdir(parents=True, exist_ok=True)
        name = "".join(char if char.isalnum() or char in "._-" else "_" for char in task)
        with (Path(folder) / f"{name}.json").open("x", encoding="utf-8") as file:  # there is one, or this is an error
            file.write(text)
        return str(folder / f"{name}.json")


async def _surveyed(request: ReviewRequest | ReviewTask, ctx: Context) -> tuple[Page, list[Source]]:
    """Return the first page, and the files of all pages."""
    first = await _page(Survey(path=request.path, commits=request.commits), ctx)
    files = list(first.files)
    for number in range(1, first.pages):
        files += (await _page(Survey(path=request.path, commits=first.commits, page=number), ctx)).files
    return first, files


async def _page(message: Survey, ctx: Context) -> Page:
    async def ask(message: Survey) -> Page:
        return (await persist(lambda: ctx.ask(Surveyor.survey, message, timeout=SURVEY_SECONDS))).page

    return await ctx.step(f"survey-{message.page}", ask, message, returns=Page)  # type: ignore[no-any-return]  # a Page


async def _inspect(path: str, commit: str, files: list[Source], tally: Tally, ctx: Context) -> None:
    """Add up what all analysers say of all files."""

    async def ask(desk: int, message: Inspect) -> Inspection:
        return (await ctx.ask(DESKS[desk], message, timeout=BATCH_SECONDS)).inspection

    async def step(job: tuple[int, int]) -> Inspection:
        number, desk = job
        answer: Inspection = await ctx.step(f"{NAMES[desk]}-{number}", ask, desk, messages[number], returns=Inspection)
        return answer

    messages = [Inspect(path=path, commit=commit, files=batch) for batch in batches(files)]
    jobs = ((number, desk) for number in range(len(messages)) for desk in range(len(DESKS)))
    await fan_out(jobs, step, take=tally.add, at_once=AT_ONCE)
