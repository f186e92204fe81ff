"""A changed fleet file, applied while the fleet works: nothing is lost, and nothing that does not fit is applied."""

import json
import threading
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.supervisor.cli.exits import Exit
from callboard.supervisor.config import ActorTable, BusTable, FleetConfig
from callboard.supervisor.reload import change_between, faults_between, spec_as_said

from .conftest import AGENTS, FLEET, Daemon

THIRD = """
[[actor]]
use = "shop_agents:Desk"
name = "annex"
"""


def ask(daemon: Daemon, text: str = "hi", *, actor: str = "desk") -> "CompletedProcess[str]":
    return daemon.run("ask", actor, json.dumps({"type": "Question", "text": text}), "--json")


def change(daemon: Daemon, fleet: str = "", agents: str = "") -> None:
    if fleet:
        daemon.file.write_text(fleet, encoding="utf-8")
    if agents:
        (daemon.folder / "shop_agents.py").write_text(agents, encoding="utf-8")


def reload(daemon: Daemon) -> "CompletedProcess[str]":
    return daemon.run("reload", within=60.0)


def pid_of(daemon: Daemon, actor: str) -> int:
    found: int = daemon.row(actor)["pid"]
    return found


def test_what_has_not_changed_goes_on(daemon: Daemon) -> None:
    before = [pid_of(daemon, actor) for actor in ("desk", "clerk")]
    done = reload(daemon)
    assert (done.returncode, "nothing has changed" in done.stdout) == (0, True), done.stderr
    assert [pid_of(daemon, actor) for actor in ("desk", "clerk")] == before


def test_an_actor_is_added_changed_and_removed_and_the_others_keep_their_process(daemon: Daemon) -> None:
    desk, clerk = pid_of(daemon, "desk"), pid_of(daemon, "clerk")
    change(daemon, FLEET + THIRD)
    assert "added: annex" in reload(daemon).stdout
    assert json.loads(ask(daemon, actor="annex").stdout)["text"] == "HI"
    change(daemon, (FLEET + THIRD).replace("drain_for = 3.0", "drain_for = 2.0"))
    assert "rolled: desk" in reload(daemon).stdout
    assert pid_of(daemon, "desk") != desk
    assert pid_of(daemon, "clerk") == clerk
    change(daemon, FLEET.replace("drain_for = 3.0", "drain_for = 2.0"))
    assert "removed: annex" in reload(daemon).stdout
    assert ask(daemon, actor="annex").returncode == Exit.FAILED
    assert {row["actor"] for row in daemon.json("ps")} == {"desk", "clerk"}
    assert daemon.row("desk")["restarts"] <= 1


def test_a_name_that_was_removed_can_come_again_and_is_an_actor_like_the_others(daemon: Daemon) -> None:
    change(daemon, FLEET + THIRD)
    assert "added: annex" in reload(daemon).stdout
    change(daemon, FLEET)
    assert "removed: annex" in reload(daemon).stdout
    change(daemon, FLEET + THIRD)
    assert "added: annex" in reload(daemon).stdout
    annex = pid_of(daemon, "annex")
    change(daemon, FLEET + THIRD + "mailbox = 2048\n")
    assert "rolled: annex" in reload(daemon).stdout
    assert pid_of(daemon, "annex") != annex
    assert json.loads(ask(daemon, actor="annex").stdout)["text"] == "HI"


def test_new_code_is_rolled_out_under_load_without_a_failure(daemon: Daemon) -> None:
    ended, codes = threading.Event(), list[int]()

    def keep_asking() -> None:
        while not ended.is_set():
            codes.append(ask(daemon).returncode)

    threads = [threading.Thread(target=keep_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    tasks = [daemon.run("enqueue", "clerk", '{"type": "Note", "text": "x"}', "--id", f"n-{n}") for n in range(5)]
    change(daemon, agents=AGENTS.replace("message.text.upper()", "message.text.upper() + '!'"))
    done = reload(daemon)
    ended.set()
    for thread in threads:
        thread.join(timeout=30)
    assert "rolled: desk, clerk" in done.stdout, done.stderr
    assert set(codes) == {0}
    assert {task.returncode for task in tasks} == {0}
    assert json.loads(ask(daemon).stdout)["text"] == "HI!"
    daemon.wait(lambda: json.loads(ask(daemon, "notes", actor="clerk").stdout)["text"] == "5", "the five notes")


def test_new_code_that_does_not_fit_what_waits_is_refused_and_nothing_changes(daemon: Daemon) -> None:
    assert daemon.run("hold", "clerk").returncode == 0
    assert daemon.run("enqueue", "clerk", '{"type": "Note", "text": "x"}').returncode == 0
    before = pid_of(daemon, "desk")
    note = "class Note(Message):\n    text: "
    change(daemon, agents=AGENTS.replace(f"{note}str", f"{note}int"))
    refused = reload(daemon)
    assert refused.returncode == Exit.USAGE
    assert "that waits for clerk does not fit" in refused.stderr
    change(daemon, FLEET.replace('[[actor]]\nuse = "shop_agents:Clerk"\n', ""), AGENTS)
    refused = reload(daemon)
    assert "1 tasks wait for clerk, which the file does not name any more" in refused.stderr
    assert pid_of(daemon, "desk") == before


def test_new_code_that_does_not_fit_an_event_that_waits_is_refused(daemon: Daemon) -> None:
    agents = AGENTS.replace('@receive(topic="news")', '@receive(topic="news", durable=True)')
    change(daemon, agents=agents)
    assert "rolled" in reload(daemon).stdout
    assert daemon.run("hold", "clerk").returncode == 0
    assert daemon.run("publish", "news", '{"type": "Note", "text": "x"}').returncode == 0
    note = "class Note(Message):\n    text: "
    change(daemon, agents=agents.replace(f"{note}str", f"{note}int"))
    assert "that waits for clerk does not fit" in reload(daemon).stderr
    change(daemon, agents=agents.replace('topic="news"', 'topic="olds"'))
    assert "clerk takes no Note of topic news any more" in reload(daemon).stderr
    change(daemon, agents=agents)
    assert daemon.run("revive", "clerk").returncode == 0
    assert reload(daemon).returncode == 0


@pytest.mark.parametrize(
    ("fleet", "words"),
    [
        (FLEET.replace("drain_for = 3.0", "drain_for = true"), "drain_for"),
        (FLEET.replace("shop_agents:Desk", "shop_agents:Nobody"), "no Actor class"),
        (FLEET.replace('name = "shop"', 'name = "other"'), "[fleet] name has changed"),
        (FLEET + '\n[[group]]\nname = "all"\ncells = ["desk", "clerk"]\n', "[[group]] has changed"),
        ("[fleet", "fleet.toml"),
    ],
)
def test_a_file_that_cannot_be_applied_is_refused_with_its_fault(daemon: Daemon, fleet: str, words: str) -> None:
    change(daemon, fleet)
    refused = reload(daemon)
    assert refused.returncode == Exit.USAGE
    assert words in refused.stderr
    assert ask(daemon).returncode == 0


# --- the decision, as a function of values

TABLES = st.lists(
    st.builds(
        lambda name, cell, replicas: ActorTable(use="m:C", name=name, cell=cell, replicas=replicas),
        st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["x", "y", "z"]), st.integers(1, 2),
    ),
    min_size=1, max_size=4, unique_by=lambda table: table.name,
)  # fmt: skip


def config(tables: list[ActorTable]) -> FleetConfig:
    return FleetConfig(
        name="shop", bus=BusTable(), actors=tuple(map(spec_as_said, tables)), tables=tuple(tables), home=Path("/")
    )


@given(TABLES, TABLES, st.booleans())
def test_each_cell_is_added_removed_rolled_or_left_and_only_what_is_the_same_is_left(
    before: list[ActorTable], after: list[ActorTable], same_code: bool
) -> None:
    old, new = config(before), config(after)
    made = change_between(old, new, same_code=same_code)
    assert set(made.added) == new.cells.keys() - old.cells.keys()
    assert set(made.removed) == old.cells.keys() - new.cells.keys()
    kept = new.cells.keys() & old.cells.keys()
    assert set(made.rolled) == {cell for cell in kept if not same_code or old.cells[cell] != new.cells[cell]}
    moved = [table.name for table in after for known in before if table.name == known.name and table.cell != known.cell]
    assert len(faults_between(old, new)) == len(moved)
