"""Who can reach whom, as ``callboard check`` says it: from grants and topics alone, and where that is too much."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from callboard import Actor, Context, Grant, Message, Untrusted, receive
from callboard.actors import ActorSpec, is_untrusted, spec_of
from callboard.actors.embedding import EmbedderTable
from callboard.supervisor.reach import OUTSIDE, Edge, edges_of, leaving, warnings_of
from callboard.supervisor.reach_picture import picture, steps_from_outside


class Note(Message):
    text: str


class Ticket(Message):
    about: str
    notes: tuple["Foreign", ...] = ()


class Foreign(Message):
    text: Untrusted[str]


class Desk(Actor):
    may = Grant(ask=("billing(amount <= 5)",), enqueue=("archive",), publish=("news",))

    @receive
    async def note(self, message: Note, ctx: Context) -> None: ...


class Billing(Actor):
    may = Grant(act=("refund(amount <= 50)",))

    @receive
    async def ticket(self, message: Ticket, ctx: Context) -> None: ...


class Archive(Actor):
    @receive(topic="news")
    async def news(self, message: Note, ctx: Context) -> None: ...


class Boss(Actor):
    may = Grant(tell=("*",))

    @receive
    async def note(self, message: Note, ctx: Context) -> None: ...


def fleet(*, cell: str = "", private: str = "", door: str = "desk") -> list[ActorSpec]:
    """Return a fleet of four; with `cell`, all in one."""
    return [
        ActorSpec(
            actor=each, name=each.name, cell=cell or each.name, may=each.may, open=each.name == door,
            private=each.name == private,
        )
        for each in (Desk, Billing, Archive, Boss)
    ]  # fmt: skip


def test_each_way_to_an_actor_is_an_edge_with_its_terms() -> None:
    assert edges_of(fleet()) == [
        Edge("boss", "archive", "tell"),
        Edge("boss", "billing", "tell"),
        Edge("boss", "desk", "tell"),
        Edge("desk", "archive", "enqueue"),
        Edge("desk", "archive", "publish", "news"),
        Edge("desk", "billing", "ask", "billing(amount <= 5)"),
        Edge(OUTSIDE, "desk", "door"),
    ]


def test_steps_are_counted_from_the_outside_and_who_is_not_reached_comes_last() -> None:
    specs = fleet()
    steps = steps_from_outside(specs, edges_of(specs))
    assert steps == {OUTSIDE: 0, "desk": 1, "billing": 2, "archive": 2, "boss": 3}


def test_foreign_text_is_found_at_any_depth_of_a_message() -> None:
    assert is_untrusted(Foreign)
    assert is_untrusted(Ticket)
    assert not is_untrusted(Note)


@pytest.mark.parametrize(
    ("specs", "cells"),
    [
        (fleet(), []),
        (fleet(private="billing"), ["billing"]),
        (fleet(private="archive"), []),
        (fleet(private="desk"), ["desk"]),
        (fleet(private="archive", cell="all"), ["all"]),
        (fleet(private="boss", cell="all", door=""), ["all"]),
        (fleet(private="boss"), []),
    ],
)
def test_a_cell_that_joins_foreign_input_private_data_and_a_way_out_is_warned_of(
    specs: list[ActorSpec], cells: list[str]
) -> None:
    assert [junction.cell for junction in warnings_of(specs)] == cells


@pytest.mark.parametrize("specs", [fleet(), fleet(private="billing"), fleet(door=""), [spec_of(Archive)]])
def test_the_picture_is_well_formed_and_names_everybody(specs: list[ActorSpec]) -> None:
    root = ET.fromstring(picture("shop & co", specs))  # noqa: S314 - our own
    text = " ".join(root.itertext())
    assert all(spec.name in text for spec in specs)
    assert "shop & co" in text
    assert ("outside" in text) == any(spec.open for spec in specs)


def test_a_name_that_the_file_does_not_have_is_drawn_as_that() -> None:
    parent = ActorSpec(actor=Desk, name="desk", cell="desk", may=Grant(tell=("kid",)))
    assert "not in the file: spawned?" in picture("shop", [parent])


def test_the_command_prints_a_table_warns_and_draws(tmp_path: Path) -> None:
    agents = Path(__file__).read_text(encoding="utf-8").split("\ndef fleet")[0]
    (tmp_path / "reach_agents.py").write_text(agents, encoding="utf-8")
    lines = ['[fleet]\nname = "shop"']
    lines += [f'[[actor]]\nuse = "reach_agents:{name}"\ncell = "all"' for name in ("Desk", "Billing", "Archive")]
    file = tmp_path / "fleet.toml"
    file.write_text("\n".join(lines).replace(':Desk"', ':Desk"\nopen = true\nprivate = true'), encoding="utf-8")

    def check(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "callboard.supervisor.cli", "check", str(file), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, cwd=tmp_path)

    shown = check("--graph", "reach.svg")
    assert "reached by" in shown.stdout
    assert "warning: cell all joins untrusted input (desk: its door is open" in shown.stderr
    assert (tmp_path / "reach.svg").read_text(encoding="utf-8").startswith("<svg")
    found = json.loads(check("--json").stdout)
    assert {"source": "outside", "target": "desk", "way": "door", "terms": ""} in found["edges"]
    assert len(found["warnings"]) == 1


def test_it_is_warned_of_a_private_actor_whose_memories_leave_the_machine() -> None:
    private = ActorSpec(actor=Actor, name="payroll", cell="payroll", private=True)
    other = ActorSpec(actor=Actor, name="clerk", cell="clerk")
    away = EmbedderTable(embedder="endpoint", url="https://models.example.org/v1", model="m", dimensions=8)
    here = EmbedderTable(embedder="endpoint", url="http://127.0.0.1:8080/v1", model="m", dimensions=8)
    assert [line.partition(" ")[0] for line in leaving([private, other], away)] == ["payroll"]
    assert leaving([private, other], here) == leaving([private], EmbedderTable()) == leaving([other], away) == []
