"""The editor has a model write the overview of a review: typed, kept, waited for, and left out where there is none."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
import pytest
from examples.review import agents
from examples.review.messages import Review, ReviewRequest
from tests.examples.made import MadeRepository

from callboard import Fleet, LlmTable
from callboard.testing import ScriptedModel

EVERYONE = [agents.Surveyor, agents.Ruff, agents.Bandit, agents.Metrics, agents.Gaps, agents.Editor]
SAID = {"headline": "The code runs what strangers send it.", "risk": "high", "first": "ruff/F401"}


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as scripted:
        scripted.answer = lambda _body: msgspec.json.encode(SAID).decode()
        yield scripted


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ScriptedModel) -> AsyncIterator[Fleet]:
    """The fleet, running in this process; its root is the temporary directory."""
    monkeypatch.chdir(tmp_path)
    async with Fleet("review", EVERYONE, llm=LlmTable(url=model.url, model="scripted")) as running:
        yield running


@pytest.fixture
def repository(made: MadeRepository) -> MadeRepository:
    """Return a repository with one unused import."""
    made.commit(m1="import os\n\n\ndef f():\n    return 1\n")
    return made


async def review(fleet: Fleet, repository: MadeRepository) -> Review:
    return await fleet.ask(agents.Editor.review, ReviewRequest(path=repository.path.name), timeout=50.0)


async def test_the_overview_names_a_kind_of_finding_that_is_there_and_stands_in_the_text(
    fleet: Fleet, repository: MadeRepository, model: ScriptedModel
) -> None:
    found = await review(fleet, repository)
    assert found.overview is not None
    assert (found.overview.risk, found.overview.first) == ("high", "ruff/F401")
    assert "A model says: The code runs what strangers send it." in found.text
    schema = model.requests[0].body["response_format"]["json_schema"]["schema"]
    assert "ruff/F401" in schema["properties"]["first"]["enum"]


async def test_the_same_commit_is_asked_about_once(
    fleet: Fleet, repository: MadeRepository, model: ScriptedModel
) -> None:
    assert await review(fleet, repository) == await review(fleet, repository)
    assert len(model.requests) == 1


async def test_a_model_that_names_what_is_not_there_twice_writes_no_overview_and_a_note_says_so(
    fleet: Fleet, repository: MadeRepository, model: ScriptedModel
) -> None:
    model.answer = lambda _body: msgspec.json.encode({**SAID, "first": "rust/borrow"}).decode()
    found = await review(fleet, repository)
    assert found.overview is None
    assert "no overview: wrong-answer" in found.notes
    assert len(model.requests) == 2


async def test_an_endpoint_that_is_pulled_away_in_the_middle_is_waited_for_and_the_review_finishes(
    fleet: Fleet, repository: MadeRepository, model: ScriptedModel
) -> None:
    model.say(msgspec.json.encode(SAID).decode(), after=30.0)
    found = list[Review]()

    async def ask() -> None:
        found.append(await review(fleet, repository))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        with anyio.fail_after(30.0):
            while not model.open_now:  # noqa: ASYNC110 - it is seen only by looking
                await anyio.sleep(0.01)
        await model.leave()
        await model.come_back()
    assert found[0].overview is not None


async def test_without_models_there_is_no_overview_and_nothing_else_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: MadeRepository
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Fleet("review", EVERYONE) as fleet:
        found = await review(fleet, repository)
    assert found.overview is None
    assert found.summary.findings > 0
