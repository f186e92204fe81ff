"""The fleet as a fleet: who is in it, who may ask whom, and what goes over the wire."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("callboard.actors.context", reason="the runtime is not built yet")

from examples.review import agents
from examples.review.messages import Review, ReviewRequest
from examples.review.report import Report

from callboard import Actor

FLEET = Path(agents.__file__).with_name("fleet.toml")


@pytest.fixture
def actors() -> dict[str, dict[str, Any]]:
    """The actors of the fleet file by the name of their class."""
    listed = tomllib.loads(FLEET.read_text())["actor"]
    return {each["use"].partition(":")[2]: each for each in listed}


def test_the_fleet_file_names_every_agent_and_no_other(actors: dict[str, dict[str, Any]]) -> None:
    classes = {
        name for name, each in vars(agents).items() if isinstance(each, type) and issubclass(each, Actor)
    } - {"Actor"}
    assert set(actors) == classes
    assert all(each["use"].startswith("examples.review.agents:") for each in actors.values())


def test_only_the_editor_is_open_and_may_ask(actors: dict[str, dict[str, Any]]) -> None:
    assert [name for name, each in actors.items() if each.get("open")] == ["Editor"]
    granted = {name: each["may"] for name, each in actors.items() if each["may"]}
    others = {getattr(agents, name).name for name in actors} - {"editor"}
    assert set(granted) == {"Editor"}
    assert set(granted["Editor"]) == {"ask"}
    assert set(granted["Editor"]["ask"]) == others


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
