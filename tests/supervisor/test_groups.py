"""Groups of cells and of actors: who goes down with whom, who starts when, and where the climb ends."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from .conftest import Daemon

AGENTS = '''
import os

import anyio

from callboard import Actor, Context, Message, Untrusted, receive


class Do(Message):
    what: Untrusted[str] = ""


class Done(Message):
    pid: int


class Member(Actor):
    """Says where it lives, or dies."""

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.what == "wait for the test":
            while not os.path.exists("go"):
                await anyio.sleep(0.01)
        if message.what.startswith("die"):
            raise SystemExit(message.what)
        return Done(pid=os.getpid())


class Slow(Member):
    """Takes its time to start."""

    async def started(self, ctx: Context) -> None:
        await anyio.sleep(0.7)
'''

pytestmark = pytest.mark.chaos


class Fleet(Daemon):
    """The daemon, with words for what these tests do."""

    def pids(self) -> dict[str, int]:
        """Return the process of each actor."""
        return {row["actor"]: row["pid"] for row in self.json("ps")}

    def states(self) -> dict[str, str]:
        """Return how it stands with each actor."""
        return {row["actor"]: row["state"] for row in self.json("ps")}

    def kill(self, actor: str) -> None:
        """End the process of an actor."""
        os.kill(self.pids()[actor], signal.SIGKILL)

    def ask(self, actor: str, what: str = "") -> Any:
        """Ask an actor; return the finished command."""
        return self.run("ask", actor, json.dumps({"type": "Do", "what": what}), "--json")

    def story(self, *kinds: str) -> list[str]:
        """Return the events of these kinds, oldest first, such as ``exited a``."""
        events = self.json("events", "--limit", "1000")
        return [
            f"{event['kind'].removeprefix('cell-')} {event['subject']}" for event in events if event["kind"] in kinds
        ]

    def lives(self) -> list[str]:
        """Return who started and ended, oldest first."""
        return self.story("cell-started", "cell-exited")

    def wait_lives(self, count: int) -> list[str]:
        """Wait until so many lives began or ended, and return them."""
        self.wait(lambda: len(self.lives()) >= count, f"{count} lives to begin or end")
        return self.lives()

    def wait_running(self, *actors: str) -> None:
        """Wait until actors run."""
        self.wait(lambda: all(self.states()[actor] == "running" for actor in actors), f"{actors} to run")


def fleet_file(*cells: str, tables: str, use: str = "Member", budget: str = "most = 5") -> str:
    actors = "".join(
        f'\n[[actor]]\nuse = "group_agents:{use}"\nname = "{cell}"\nopen = true\n[actor.intensity]\n{budget}\n'
        for cell in cells
    )
    return f'[fleet]\nname = "shop"\n{tables}\n{actors}'


def group(strategy: str, cells: str = "abc", *, more: str = "") -> str:
    return f'[[group]]\nname = "trio"\nstrategy = "{strategy}"\ncells = {list(cells)}\n{more}'


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Fleet]]:
    (tmp_path / "group_agents.py").write_text(AGENTS, encoding="utf-8")
    made: list[Fleet] = []

    def make_fleet(text: str) -> Fleet:
        made.append(Fleet(tmp_path, text))
        return made[-1].start()  # type: ignore[return-value]  # of itself

    yield make_fleet
    for fleet in made:
        fleet.end()


def test_one_for_all_a_killed_cell_takes_its_group_along_in_reverse_and_all_start_in_order(
    make: Callable[[str], Fleet],
) -> None:
    fleet = make(fleet_file("a", "b", "c", "other", tables=group("one_for_all")))
    before = fleet.pids()
    assert [each for each in fleet.lives() if "other" not in each] == ["started a", "started b", "started c"]
    fleet.kill("b")
    story = [each for each in fleet.wait_lives(10) if "other" not in each][3:]
    assert story == ["exited b", "exited c", "exited a", "started a", "started b", "started c"]
    fleet.wait_running("a", "b", "c")
    after = fleet.pids()
    assert [name for name in before if before[name] != after[name]] == ["a", "b", "c"]
    assert all(fleet.ask(name).returncode == 0 for name in "abc")
    assert {row["actor"]: row["restarts"] for row in fleet.json("ps")} == {"a": 1, "b": 1, "c": 1, "other": 0}
    assert fleet.stop() == 0


def test_what_waits_at_a_cell_that_stops_with_its_group_is_served_by_its_next_life(
    make: Callable[[str], Fleet],
) -> None:
    fleet = make(fleet_file("a", "b", tables=group("one_for_all", "ab")))
    before, done = fleet.pids(), dict[str, Any]()
    words = ("wait for the test", "after", "meanwhile")
    threads = [Thread(target=lambda what=what: done.update({what: fleet.ask("b", what)})) for what in words]
    for depth, thread in enumerate(threads[:2]):
        thread.start()
        fleet.wait(lambda: fleet.row("b")["in_hand"] == ["Do"] and fleet.row("b")["depth"] == depth, "it to be there")  # noqa: B023
    fleet.kill("a")
    fleet.wait(lambda: (fleet.row("b")["state"], fleet.row("b")["depth"]) == ("restarting", 1), "it to be given back")
    threads[2].start()
    fleet.wait(lambda: fleet.row("b")["depth"] == 2, "what comes while it drains to be kept")
    (fleet.folder / "go").touch()
    for thread in threads:
        thread.join(timeout=20)
    pids = [json.loads(done[what].stdout)["pid"] for what in words]
    fleet.wait_running("b")
    assert pids[0] == before["b"], "what was in hand is finished"
    assert pids[1] == pids[2] == fleet.pids()["b"] != before["b"]
    [stopped] = [each for each in fleet.json("events", "--kind", "cell-exited") if each["subject"] == "b"]
    assert stopped["text"].startswith("told to stop; nothing in hand; its log")


def test_rest_for_one_a_killed_cell_takes_along_those_behind_it(make: Callable[[str], Fleet]) -> None:
    fleet = make(fleet_file("a", "b", "c", tables=group("rest_for_one", "cba")))
    before = fleet.pids()
    assert fleet.lives() == ["started c", "started b", "started a"], "the order of the group, not of the file"
    fleet.kill("b")
    assert fleet.wait_lives(7)[3:] == ["exited b", "exited a", "started b", "started a"]
    fleet.wait_running("a", "b", "c")
    after = fleet.pids()
    assert [name for name in before if before[name] != after[name]] == ["a", "b"]


def test_a_group_that_spends_its_budget_is_held_whole_and_revived_in_order(make: Callable[[str], Fleet]) -> None:
    fleet = make(fleet_file("a", "b", tables=group("one_for_all", "ab", more="[group.intensity]\nmost = 0\n")))
    fleet.kill("a")
    fleet.wait(lambda: set(fleet.states().values()) == {"held"}, "the group to be held")
    [held] = [event for event in fleet.json("events", "--limit", "100") if event["kind"] == "group-held"]
    assert held["subject"] == "trio"
    assert "1 crashes in the group within 30 s, the last of a: killed by SIGKILL" in held["text"]
    refused = fleet.ask("b")
    assert refused.returncode == 4
    assert "the last of a: killed by SIGKILL" in refused.stderr
    fleet.wait_lives(4)
    done = fleet.run("revive", "b")
    assert done.returncode == 0
    assert "all of group trio" in done.stdout
    assert fleet.wait_lives(6)[2:] == ["exited a", "exited b", "started a", "started b"]
    fleet.wait_running("a", "b")
    assert fleet.ask("a").returncode == fleet.ask("b").returncode == 0


def test_a_child_in_trouble_costs_its_cell_then_the_cell_its_group_and_there_the_climb_ends(
    make: Callable[[str], Fleet],
) -> None:
    tables = group("one_for_all", "ab") + '[[cell]]\nname = "b"\nescalate = true\n'
    fleet = make(fleet_file("a", "b", tables=tables, budget="most = 1"))
    for life in (1, 2):
        for time in (1, 2):
            assert fleet.ask("b", f"die {life} {time}").returncode == 6
        fleet.wait(lambda: fleet.lives().count("exited b") == life, "cell b to give up")  # noqa: B023 - at once
        if life == 1:
            fleet.wait(lambda: fleet.lives()[-1] == "started b", "all to start again")
            fleet.wait_running("a", "b")
    fleet.wait(lambda: set(fleet.states().values()) == {"held"}, "the group to be held")
    events = fleet.json("events", "--limit", "100")
    exits = [event for event in events if event["kind"] == "cell-exited" and event["subject"] == "b"]
    assert [event["detail"]["code"] for event in exits] == [70, 70]
    assert (
        "its actors were given up: b: 2 crashes within 30 s: a handler raised SystemExit: die 1 2" in exits[0]["text"]
    )
    [held] = [event for event in events if event["kind"] == "group-held"]
    assert "b: 2 crashes within 30 s: ended itself: its actors were given up: b: 2 crashes" in held["text"]
    kinds = [event["kind"] for event in events if event["subject"] == "b"]
    assert kinds.count("actor-crashed") == 4
    assert kinds.index("actor-crashed") < kinds.index("cell-exited") < kinds.index("cell-held")


def test_a_cell_starts_when_the_one_before_it_is_up_and_all_stop_in_reverse(make: Callable[[str], Fleet]) -> None:
    fleet = make(fleet_file("a", "b", "c", use="Slow", tables=group("one_for_one", "bca")))
    began = [event["at"] for event in fleet.json("events", "--limit", "100") if event["kind"] == "cell-started"]
    assert fleet.lives() == ["started b", "started c", "started a"]
    assert all(later - earlier > 0.7 for earlier, later in pairwise(began)), "started() took 0.7 s"
    fleet.stop()
    ended = [line.split()[2].rstrip(":") for line in fleet.text().splitlines() if " cell-exited " in line]
    assert ended == ["a", "c", "b"]
