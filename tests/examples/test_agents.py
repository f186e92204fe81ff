"""The fleet as a fleet: who is in it, who may ask whom, and what goes over the wire."""

import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from examples.review import agents
from examples.review.messages import Review, ReviewRequest
from examples.review.report import Report
from tests.examples.made import MadeRepository, Reviewer

from callboard import Actor, Fleet, HandlerFailed

FLEET = Path(agents.__file__).with_name("fleet.toml")


@pytest.fixture
def actors() -> dict[str, dict[str, Any]]:
    """The actors of the fleet file by the name of their class."""
    listed = tomllib.loads(FLEET.read_text())["actor"]
    return {each["use"].partition(":")[2]: each for each in listed}


def test_the_fleet_file_names_every_agent_and_no_other(actors: dict[str, dict[str, Any]]) -> None:
    classes = {name for name, each in vars(agents).items() if isinstance(each, type) and issubclass(each, Actor)} - {
        "Actor"
    }
    assert set(actors) == classes
    assert all(each["use"].startswith("examples.review.agents:") for each in actors.values())


def test_only_the_editor_is_open_and_may_ask(actors: dict[str, dict[str, Any]]) -> None:
    assert [name for name, each in actors.items() if each.get("open")] == ["Editor"]
    granted = {name: each["may"] for name, each in actors.items() if each["may"]}
    others = {getattr(agents, name).name for name in actors} - {"editor"}
    assert set(granted) == {"Editor"}
    assert set(granted["Editor"]["ask"]) == others
    assert {verb: names for verb, names in granted["Editor"].items() if verb != "ask"} == {
        "publish": ["reviews"], "act": ["write-report"],
    }  # fmt: skip


def test_each_agent_has_a_cell_and_roots_of_its_own(actors: dict[str, dict[str, Any]]) -> None:
    assert len({each["cell"] for each in actors.values()}) == len(actors)
    for name, each in actors.items():
        made = msgspec.convert(each["options"], getattr(agents, name).Options)
        assert made.roots == (".",)


def test_a_review_has_the_fields_of_the_report() -> None:
    assert Review.__struct_fields__ == Report.__struct_fields__


def test_a_request_needs_a_path_and_a_known_format() -> None:
    decode = msgspec.json.Decoder(ReviewRequest).decode
    asked = decode(b'{"type":"ReviewRequest","path":"x"}')
    assert (asked.path, asked.commits, asked.format) == ("x", "", "json")
    for wrong in (b'"path":""', b'"path":"x","format":"html"', b'"path":"x","extra":1', b'"commits":"x"'):
        with pytest.raises(msgspec.ValidationError):
            decode(b'{"type":"ReviewRequest",' + wrong + b"}")


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """The fleet, running in this process; its root is the temporary directory."""
    monkeypatch.chdir(tmp_path)
    everyone = [agents.Surveyor, agents.Ruff, agents.Bandit, agents.Metrics, agents.Gaps, agents.Editor]
    async with Fleet("review", everyone) as fleet:
        yield fleet


async def test_the_agents_say_together_what_the_modules_say(
    fleet: Fleet, made: MadeRepository, reviewer: Reviewer
) -> None:
    for number in range(60):
        made.write(f"m{number}.py", f"import os\nexec('{number}')\ndef f{number}(): return undefined\n")
    made.commit(test_m="import m1\nm1.f1()\n")
    for form in ("json", "sarif"):
        request = ReviewRequest(path="sample", format=form)
        review = await fleet.ask(agents.Editor.review, request, timeout=50.0)
        report = await reviewer.review(made, sarif=form == "sarif")
        assert msgspec.structs.asdict(review) == msgspec.structs.asdict(report)


@pytest.mark.parametrize(("path", "commits"), [("..", ""), ("/", ""), ("sample", "--help"), ("nothing", "")])
async def test_a_request_that_cannot_be_is_refused_with_the_reason(
    fleet: Fleet, made: MadeRepository, path: str, commits: str
) -> None:
    made.commit(m="x = 1\n")
    with pytest.raises(HandlerFailed, match=r"OutsideRoots|BadCommits|NotARepository"):
        await fleet.ask(agents.Editor.review, ReviewRequest(path=path, commits=commits), timeout=20.0)


def _kinds(review: Review) -> list[str]:
    return list(dict.fromkeys(f"{each.tool}/{each.rule}" for each in review.findings))


async def test_a_kind_that_was_dismissed_comes_last_in_the_next_review(fleet: Fleet, made: MadeRepository) -> None:
    made.commit(one="import os\nexec('1')\nx = undefined\n", two="import os\nassert 1\n")
    request = ReviewRequest(path=made.path.name)
    before = await fleet.ask(agents.Editor.review, request, timeout=120.0)
    worst = _kinds(before)[0]
    touched = await fleet.outcome(f"{before.repository}/{worst}", good=False, why="we mean it")
    after = await fleet.ask(agents.Editor.review, request, timeout=120.0)
    assert touched.remembered == 1
    assert _kinds(after) == [*_kinds(before)[1:], worst]
    assert after.notes[-1] == f"dismissed before, and so last: {before.repository}/{worst} (we mean it)"
    await fleet.outcome(f"{before.repository}/{worst}", good=True)  # who dismissed it has changed their mind
    assert _kinds(await fleet.ask(agents.Editor.review, request, timeout=120.0))[0] == worst
