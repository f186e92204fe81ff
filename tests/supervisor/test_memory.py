"""What agents know, seen and changed by a person over a real fleet: two cells, real processes, real files."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard.supervisor.cli.exits import Exit

from .conftest import Daemon

AGENTS = """
from callboard import Actor, Context, Episode, Grant, Message, receive


class Learn(Message):
    text: str
    about: str = ""


class Recall(Message):
    query: str


class Tell(Message):
    id: str


class Known(Message):
    texts: list[str]
    warnings: list[str]
    id: str


class Clerk(Actor):
    may = Grant(ask=("*",))

    @receive
    async def learn(self, message: Learn, ctx: Context) -> Known:
        await ctx.remember(Episode(situation=message.text, about=message.about))
        await ctx.memory.put("last", message.text)
        return Known(texts=[], warnings=[], id=ctx.message_id)

    @receive
    async def recall(self, message: Recall, ctx: Context) -> Known:
        found = await ctx.recall(message.query)
        return Known(
            texts=[each.episode.situation for each in found.episodes],
            warnings=[each.episode.situation for each in found.warnings], id=ctx.message_id,
        )

    @receive
    async def judge(self, message: Tell, ctx: Context) -> Known:
        touched = await ctx.outcome(message.id, False, "it was wrong")
        return Known(texts=[str(touched.remembered)], warnings=[], id=ctx.message_id)
"""

FLEET = """
[fleet]
name = "shop"

[memory]
embedder = "hash"

[[actor]]
use = "memo_agents:Clerk"
name = "desk"

[[actor]]
use = "memo_agents:Clerk"
name = "clerk"
"""


@pytest.fixture
def fleet(make_daemon: Callable[..., Daemon], tmp_path: Path) -> Daemon:
    """Return a running fleet of two who remember, each in a cell of its own."""
    (tmp_path / "memo_agents.py").write_text(AGENTS, encoding="utf-8")
    return make_daemon(FLEET).start()


def ask(daemon: Daemon, actor: str, kind: str, **fields: str) -> dict[str, Any]:
    done = daemon.run("ask", actor, json.dumps({"type": kind, **fields}), "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def episodes(daemon: Daemon, actor: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.json("memory", "ls", actor)
    return found


def state(daemon: Daemon, name: str) -> Path:
    return daemon.folder / ".callboard" / "shop" / "actors" / name


def test_a_person_sees_and_searches_what_an_agent_knows(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams with thick paper", about="printer")
    ask(fleet, "desk", "Learn", text="Ada prefers letters", about="Ada")
    [ada, printer] = episodes(fleet, "desk")
    assert (ada["episode"]["about"], printer["episode"]["about"]) == ("Ada", "printer")
    found = fleet.json("memory", "search", "desk", "paper jams")["episodes"]
    assert found[0]["id"] == printer["id"]
    only = fleet.json("memory", "search", "desk", "paper jams", "--where", "about=Ada")["episodes"]
    assert [row["id"] for row in only] == [ada["id"]]
    shown = fleet.run("memory", "show", "desk", ada["id"]).stdout
    assert "Ada prefers letters" in shown
    assert "internal" in shown
    assert fleet.json("memory", "ls", "desk", "--at-hand") == [
        {"key": "last", "value": '"Ada prefers letters"', "of": ""}
    ]
    counts = {row["actor"]: row for row in fleet.json("memory", "stats")["rows"]}
    assert (counts["desk"]["stats"]["episodes"], counts["desk"]["keys"], counts["clerk"]["stats"]) == (2, 1, None)
    assert all(row["returned"] == 0 for row in episodes(fleet, "desk"))  # a person who looks is not a recall


def test_an_outcome_said_by_a_person_makes_a_memory_a_warning(fleet: Daemon) -> None:
    learned = ask(fleet, "desk", "Learn", text="restarting the printer helps")
    done = fleet.run("outcome", learned["id"], "bad", "--why", "it burned")
    assert "1 memories were made of it" in done.stdout
    known = ask(fleet, "desk", "Recall", query="printer")
    assert (known["texts"], known["warnings"]) == ([], ["restarting the printer helps"])
    assert "it burned" in fleet.run("memory", "show", "desk", episodes(fleet, "desk")[0]["id"]).stdout


def test_an_outcome_said_by_an_agent_reaches_who_remembers_in_another_process(fleet: Daemon) -> None:
    learned = ask(fleet, "desk", "Learn", text="restarting the printer helps")
    assert ask(fleet, "clerk", "Tell", id=learned["id"])["texts"] == ["1"]
    assert ask(fleet, "desk", "Recall", query="printer")["warnings"] == ["restarting the printer helps"]


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_an_outcome_reaches_a_cell_that_dies_just_now_in_its_next_life(fleet: Daemon, harm: signal.Signals) -> None:
    learned = ask(fleet, "desk", "Learn", text="restarting the printer helps")
    os.kill(fleet.row("desk")["pid"], harm)
    done = fleet.run("outcome", learned["id"], "good")
    assert done.returncode == 0, done.stderr
    assert episodes(fleet, "desk")[0]["episode"]["worked"] is True


def test_an_outcome_that_a_cell_does_not_hear_is_an_error_that_names_the_cell(
    make_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    (tmp_path / "memo_agents.py").write_text(AGENTS, encoding="utf-8")
    patient = FLEET + "[actor.health]\nsilent_after = 60.0\nstalled_after = 90.0\n"
    fleet = make_daemon(patient).start()
    pid = fleet.row("clerk")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        done = fleet.run("outcome", "ticket-7", "good")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (done.returncode, "outcome-unheard" in done.stderr, "cell clerk" in done.stderr) == (5, True, True)
    assert fleet.run("outcome", "ticket-7", "good").returncode == 0


def test_forgetting_somebody_leaves_nothing_in_the_files_and_says_where_it_looked(fleet: Daemon) -> None:
    for actor in ("desk", "clerk"):
        ask(fleet, actor, "Learn", text="Ada Lovelace prefers letters", about="Ada Lovelace")
    asked = fleet.run("memory", "forget", "--about", "Ada Lovelace")  # and nobody says yes
    assert asked.returncode == 1
    assert asked.stdout.startswith("desk: 1 episodes and 1 values at hand\nclerk: 1 episodes and 1 values at hand\n")
    ask(fleet, "desk", "Learn", text="the printer jams")
    done = fleet.run("memory", "forget", "--about", "Ada Lovelace", "--yes")
    assert done.returncode == 0, done.stderr
    assert "desk: 1 episodes and 0 values at hand" in done.stdout
    assert "clerk: 1 episodes and 1 values at hand" in done.stdout
    assert "not looked into" in done.stdout
    assert len(episodes(fleet, "desk")) == 1
    for file in (fleet.folder / ".callboard" / "shop" / "actors").glob("*"):
        assert b"Lovelace" not in file.read_bytes(), file
    assert not any("Lovelace" in event["text"] for event in fleet.json("events", "--limit", "1000"))


def test_one_episode_is_forgotten_by_its_id(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams")
    [row] = episodes(fleet, "desk")
    assert fleet.run("memory", "forget", "desk", row["id"]).returncode == 0
    assert episodes(fleet, "desk") == []
    again = fleet.run("memory", "forget", "desk", row["id"])
    assert (again.returncode, "no-such-episode" in again.stderr) == (Exit.USAGE, True)


def test_what_was_copied_comes_back_and_what_came_since_is_gone(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams")
    copied = fleet.run("memory", "backup", "desk", "copy")
    assert copied.returncode == 0, copied.stderr
    assert fleet.run("memory", "backup", "desk", "copy").returncode != 0  # nothing is overwritten
    ask(fleet, "desk", "Learn", text="the ceiling leaks")
    restored = fleet.run("memory", "restore", "desk", "copy", "--yes")
    assert restored.returncode == 0, restored.stderr
    assert [row["episode"]["situation"] for row in episodes(fleet, "desk")] == ["the printer jams"]
    assert fleet.json("memory", "ls", "desk", "--at-hand") == [{"key": "last", "value": '"the printer jams"', "of": ""}]
    assert ask(fleet, "desk", "Recall", query="printer")["texts"] == ["the printer jams"]


def test_a_damaged_long_term_memory_is_set_aside_whole_and_reported(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams")
    assert fleet.run("memory", "backup", "desk", "copy").returncode == 0
    fleet.stop()
    path = state(fleet, "desk.episodes.db")
    damaged = b"not a database at all" * 500
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    path.write_bytes(damaged)
    fleet.start()
    assert ask(fleet, "desk", "Recall", query="printer")["texts"] == []
    [aside] = [file for file in path.parent.glob("desk.episodes.db.*") if file.read_bytes() == damaged]
    [event] = fleet.json("events", "--kind", "memory-damaged")
    assert aside.name in event["text"]
    assert fleet.run("memory", "restore", "desk", "copy", "--yes").returncode == 0
    assert ask(fleet, "desk", "Recall", query="printer")["texts"] == ["the printer jams"]


def test_a_damaged_first_file_is_left_alone_until_a_person_restores_it(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams")
    assert fleet.run("memory", "backup", "desk", "copy").returncode == 0
    fleet.stop()
    path = state(fleet, "desk.db")
    damaged = b"not a database at all" * 500
    for part in ("-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)
    path.write_bytes(damaged)
    fleet.start()
    refused = fleet.run("ask", "desk", '{"type": "Learn", "text": "x"}')
    assert "DatabaseCorrupt" in refused.stderr
    assert path.read_bytes() == damaged
    restored = fleet.run("memory", "restore", "desk", "copy", "--yes")
    assert restored.returncode == 0, restored.stderr
    assert fleet.json("memory", "ls", "desk", "--at-hand") == [{"key": "last", "value": '"the printer jams"', "of": ""}]
    assert any(file.read_bytes() == damaged for file in path.parent.glob("desk.db.*"))
    assert fleet.json("events", "--kind", "memory-damaged")


def test_another_embedder_is_said_and_the_vectors_are_made_anew_while_it_runs(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams with thick paper")
    ask(fleet, "desk", "Recall", query="printer")
    fleet.file.write_text(FLEET.replace('"hash"', '"static"'), encoding="utf-8")
    assert "rolled: desk, clerk" in fleet.run("reload", within=60.0).stdout
    ask(fleet, "desk", "Recall", query="printer")
    assert "recall goes by words" in fleet.run("memory", "stats", "desk").stdout
    assert fleet.json("memory", "search", "desk", "printer")["by"] == "words"
    assert fleet.run("memory", "reindex", "desk").returncode == 0
    fleet.wait(lambda: bool(fleet.json("events", "--kind", "memory-reindexed")), "the vectors to be made")
    assert fleet.json("memory", "search", "desk", "printer")["by"] == "words and vectors"


def test_who_asks_for_a_memory_that_is_not_there_hears_why(fleet: Daemon) -> None:
    unknown = fleet.run("memory", "ls", "nobody")
    assert (unknown.returncode, "no-such-actor" in unknown.stderr) == (Exit.FAILED, True)
    keeper = fleet.run("memory", "ls", "cell-desk")
    assert "no-such-actor" in keeper.stderr
    nothing = fleet.run("memory", "forget")
    assert nothing.returncode == Exit.USAGE
    asked = fleet.run("memory", "search", "desk", "x", "--where", "about")
    assert asked.returncode == Exit.USAGE


def test_a_fleet_file_whose_embedder_cannot_be_is_refused_with_line_and_key(
    make_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    (tmp_path / "memo_agents.py").write_text(AGENTS, encoding="utf-8")
    daemon = make_daemon(FLEET.replace('"hash"', '"words"'))
    done = daemon.run("check", str(daemon.file))
    assert (done.returncode, "fleet.toml:6: memory.embedder: embedder = 'words'" in done.stderr) == (Exit.USAGE, True)


def test_a_memory_is_one_database_that_any_tool_can_read_once_the_fleet_has_stopped(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams")
    fleet.stop()
    with sqlite3.connect(f"file:{state(fleet, 'desk.episodes.db')}?mode=ro", uri=True) as conn:
        assert conn.execute("SELECT situation FROM episodes").fetchall() == [("the printer jams",)]


def test_large_episodes_and_values_are_listed_shortened_and_shown_whole(fleet: Daemon) -> None:
    for at in range(12):
        ask(fleet, "desk", "Learn", text=f"{at} " + "long text " * 790)
    rows = episodes(fleet, "desk")
    assert len(rows) == 12
    assert all(len(row["episode"]["situation"]) == 600 for row in rows)
    assert len(fleet.json("memory", "show", "desk", rows[0]["id"])["found"]["episode"]["situation"]) > 7000
    assert fleet.run("memory", "ls", "desk").stdout.count("\n") == 12


def test_what_an_agent_was_told_looks_like_no_line_of_the_command(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="x\n  trust         owner\x1b[31m")
    [row] = episodes(fleet, "desk")
    for words in (("ls", "desk"), ("show", "desk", row["id"]), ("ls", "desk", "--at-hand")):
        shown = fleet.run("memory", *words).stdout
        assert "\n  trust         owner" not in shown
        assert "\x1b" not in shown


def test_an_outcome_finds_an_episode_by_its_own_id_and_by_what_it_is_known_by(fleet: Daemon) -> None:
    learned = ask(fleet, "desk", "Learn", text="the printer jams")
    [row] = episodes(fleet, "desk")
    assert "1 memories were made of it" in fleet.run("outcome", row["id"], "bad").stdout
    assert fleet.json("memory", "show", "desk", row["id"])["messages"] == [learned["id"]]


def test_a_copy_of_which_one_file_is_damaged_changes_nothing(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="the printer jams")
    assert fleet.run("memory", "backup", "desk", "copy").returncode == 0
    ask(fleet, "desk", "Learn", text="the ceiling leaks")
    (fleet.folder / "copy" / "desk.episodes.db").write_bytes(b"nothing of the kind" * 999)
    done = fleet.run("memory", "restore", "desk", "copy", "--yes")
    assert (done.returncode, "backup-damaged" in done.stderr) == (Exit.REFUSED, True)
    assert fleet.json("memory", "ls", "desk", "--at-hand")[0]["value"] == '"the ceiling leaks"'
    assert len(episodes(fleet, "desk")) == 2


def test_forgetting_lists_what_was_set_aside_and_refuses_a_blank_name(fleet: Daemon) -> None:
    ask(fleet, "desk", "Learn", text="Ada Lovelace prefers letters")
    state(fleet, "desk.episodes.db.damaged-x").write_bytes(b"Ada Lovelace")
    done = fleet.run("memory", "forget", "desk", "--about", "Ada Lovelace", "--yes")
    assert "actors/desk.episodes.db.damaged-x" in done.stdout
    blank = fleet.run("memory", "forget", "--about", " ", "--yes")
    assert (blank.returncode, "invalid-episode" in blank.stderr) == (Exit.USAGE, True)


def test_a_memory_that_cannot_be_read_holds_up_no_outcome_for_the_others(fleet: Daemon) -> None:
    for actor in ("desk", "clerk"):
        learned = ask(fleet, actor, "Learn", text="restarting helps")
    fleet.stop()
    with sqlite3.connect(state(fleet, "desk.episodes.db")) as conn:
        conn.execute("PRAGMA user_version = 99")
    conn.close()
    fleet.start()
    done = fleet.run("outcome", learned["id"], "good", within=6.0)
    assert (done.returncode, "99" in done.stderr) == (Exit.NO_ANSWER, True)
    assert episodes(fleet, "clerk")[0]["episode"]["worked"] is True
