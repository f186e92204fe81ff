"""The fleet file: every complaint names the line, the key and what is legal."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import Intensity
from callboard.supervisor import BadFleet, load_fleet
from callboard.supervisor.formation import CellTable
from callboard.supervisor.toml_lines import line_of

from .conftest import AGENTS

GOOD = """\
[fleet]
name = "shop"

[[actor]]
use = "config_agents:Desk"

[[actor]]
use = "config_agents:Clerk"
replicas = 2
[actor.health]
silent_after = 3.0
[actor.may]
tell = ["desk"]
"""


@pytest.fixture
def write(tmp_path: Path) -> object:
    (tmp_path / "config_agents.py").write_text(AGENTS, encoding="utf-8")

    def write_file(text: str) -> Path:
        file = tmp_path / "fleet.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


def complaint(write: object, text: str) -> str:
    with pytest.raises(BadFleet) as caught:
        load_fleet(write(text))  # type: ignore[operator]  # the fixture above
    return str(caught.value).partition("fleet.toml:")[2]


def test_a_good_file_becomes_a_frozen_config(write: object) -> None:
    config = load_fleet(write(GOOD))  # type: ignore[operator]  # the fixture above
    assert config.homes == {"desk": "desk", "clerk": "clerk"}
    assert config.actors[1].replicas == 2
    assert config.actors[1].may.tell == ("desk",)
    with pytest.raises(AttributeError):
        config.name = "other"  # type: ignore[misc]  # that is the claim


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "shop"', 'nam = "shop"', ("2: fleet.nam:", "legal: name")),
        ('name = "shop"', 'name = "Shop"', ("2: fleet.name:", "a-z")),
        ('name = "shop"', 'name = "sh.op"', ("2: fleet.name:", "a-z")),
        ("replicas = 2", "replicas = 0", ("9: actor[1].replicas:", ">= 1")),
        ("replicas = 2", 'replicas = "two"', ("9: actor[1].replicas:", "int")),
        ("replicas = 2", 'restart = "always"', ("9: actor[1].restart:",)),
        ("replicas = 2", "copies = 2", ("9: actor[1].copies:", "legal: use, name, replicas")),
        ("replicas = 2", 'restart = "always"', ("9: actor[1].restart:", "legal: permanent, transient, temporary")),
        ("silent_after = 3.0", "silent_after = 90.0", ("health.stalled_after:", "longer than silent_after")),
        ("silent_after = 3.0", "silent_aftr = 3.0", ("11: actor[1].health.silent_aftr", "legal: start_within")),
        ("silent_after = 3.0", "silent_after = -1", ("11: actor[1].health.silent_after",)),
        ('tell = ["desk"]', 'tell = ["dsk"]', ("13: actor[1].may.tell:", "clerk, desk")),
        ('tell = ["desk"]', 'tel = ["desk"]', ("13: actor[1].may.tel:", "legal: tell, ask")),
        ("config_agents:Clerk", "config_agents:Desk", ("two actors are named 'desk'",)),
        ("config_agents:Clerk", "config_agents:Nobody", ("8: actor[1].use:", "no Actor class")),
        ("config_agents:Clerk", "no_such_module:X", ("8: actor[1].use:", "cannot be imported")),
        ("config_agents:Clerk", "config_agents", ("8: actor[1].use:", "package.module:Class")),
        ("replicas = 2", 'name = "supervisor"', ("9: actor[1].name:", "kept for the runtime")),
        ("replicas = 2", 'name = "cell-desk"', ("9: actor[1].name:", "nor 'cell-…'")),
        ("replicas = 2", 'cell = "a b"', ("9: actor[1].cell:", "a-z")),
        ("replicas = 2", f'cell = "{"a" * 60}"', ("9: actor[1].cell:", "58")),
        ("replicas = 2", "options = { x = 1 }", ("9: actor[1].options",)),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_with_its_line_and_what_is_legal(
    write: object, old: str, new: str, said: tuple[str, ...]
) -> None:
    text = complaint(write, GOOD.replace(old, new, 1))
    for part in said:
        assert part in text


TABLES = """
[[group]]
name = "front"
strategy = "one_for_all"
cells = ["desk", "clerk"]
[group.intensity]
most = 3

[[cell]]
name = "desk"
strategy = "rest_for_one"
escalate = true
"""


def test_groups_and_cells_say_who_belongs_together(write: object) -> None:
    config = load_fleet(write(GOOD + TABLES))  # type: ignore[operator]  # the fixture above
    [group] = config.groups
    assert (group.strategy, group.cells, group.intensity) == ("one_for_all", ["desk", "clerk"], Intensity(most=3))
    assert config.formation_of("desk") == CellTable(name="desk", strategy="rest_for_one", escalate=True)
    assert config.formation_of("clerk") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "front"', 'name = "Front"', ("16: group[0].name:", "not a group name", "a-z")),
        ('name = "front"', 'nam = "front"', ("16: group[0].nam:", "legal: name, cells, strategy, intensity")),
        ("one_for_all", "all_for_one", ("17: group[0].strategy:", "all_for_one")),
        ('cells = ["desk", "clerk"]', "cells = []", ("18: group[0].cells:", "length >= 1")),
        ('"clerk"]', '"clrk"]', ("18: group[0].cells:", "no cell is named 'clrk'", "clerk, desk")),
        ('"clerk"]', '"desk"]', ("18: group[0].cells:", "twice in this group")),
        ('["desk", "clerk"]', '["desk"]', ("17: group[0].strategy:", "at least two, or use 'one_for_one'")),
        ("most = 3", "most = -1", ("20: group[0].intensity.most:", ">= 0")),
        ("[[cell]]", '[[group]]\nname = "back"\ncells = ["desk"]\n[[cell]]', (
            "24: group[1].cells:", "'desk' is in group 'front' already")),
        ("[[cell]]", '[[group]]\nname = "front"\ncells = ["desk"]\n[[cell]]', (
            "23: group[1].name:", "two groups are named 'front'")),
        ('name = "desk"', 'name = "dsk"', ("23: cell[0].name:", "no cell is named 'dsk'", "clerk, desk")),
        ("escalate = true", 'escalate = "yes"', ("25: cell[0].escalate:", "bool")),
        ("escalate = true", "escalates = true", ("25: cell[0].escalates:", "legal: name, strategy, intensity, escal")),
        ("escalate = true", 'escalate = true\n[[cell]]\nname = "desk"', (
            "27: cell[1].name:", "two [[cell]] tables are named 'desk'")),
    ],
)  # fmt: skip
def test_a_faulty_group_or_cell_is_named_with_its_line_and_what_is_legal(
    write: object, old: str, new: str, said: tuple[str, ...]
) -> None:
    text = complaint(write, GOOD + TABLES.replace(old, new, 1))
    for part in said:
        assert part in text


def test_no_toml_is_said_to_be_none(write: object) -> None:
    with pytest.raises(BadFleet, match="line 1"):
        load_fleet(write("[fleet\n"))  # type: ignore[operator]  # the fixture above


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(BadFleet, match=r"nowhere\.toml"):
        load_fleet(tmp_path / "nowhere.toml")


@given(st.text(max_size=300), st.sampled_from(["$", "$.actor[3].x", "$.fleet.name", "$.actor[1].health.silent_after"]))
def test_any_text_has_a_line_for_any_key(text: str, key: str) -> None:
    assert 1 <= line_of(text, key) <= max(1, len(text.splitlines()) + 1)
