"""Agents of a real daemon ask models: what dies meanwhile, what is down, and what people see of it."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from callboard import Client, Json
from callboard.actors.llm import Usage
from callboard.errors import CallboardError
from callboard.supervisor.cli.exits import Exit
from tests.supervisor.conftest import Daemon

from .conftest import KEY, Remote

DAY = '[[budget]]\ndollars = 0.05\nper = "day"\n'
DOLLARS = 50_000_000
"""The same in nano-dollars."""
MakeFleet = Callable[..., Daemon]


def ask(what: str = "it", *, timeout: float = 20.0) -> str:
    return json.dumps({"type": "Ask", "what": what, "timeout": timeout})


def ledger(daemon: Daemon, sql: str) -> list[tuple[Any, ...]]:
    path = daemon.folder / ".callboard" / "shop" / "office.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)) as conn:
        return conn.execute(sql).fetchall()


def spent(daemon: Daemon) -> int:
    [(amount,)] = ledger(daemon, "SELECT coalesce(sum(spent + reserved), 0) FROM windows")
    return int(amount)


def pids(daemon: Daemon) -> dict[str, int]:
    return {row["actor"]: row["pid"] for row in daemon.json("ps")}


async def many(daemon: Daemon, count: int, *, meanwhile: Callable[[int], None] = lambda _done: None) -> int:
    """Have the writer asked `count` times at once; return how many were answered."""
    answered = done = 0

    async def one(client: Client, number: int) -> None:
        nonlocal answered, done
        message = Json(ask(f"number {number}").encode(), "Ask")
        try:
            await client.ask("writer", message, timeout=30.0)
        except CallboardError:
            pass
        else:
            answered += 1
        done += 1
        meanwhile(done)

    async with Client.connect("shop", state=daemon.folder / ".callboard") as client, anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(one, client, number)
    return answered


# --- money


def test_two_hundred_who_spend_the_last_dollar_while_the_office_is_killed_spend_no_more(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    daemon = make_fleet(DAY).start()
    office, killed = pids(daemon)["office"], list[int]()

    def kill(done: int) -> None:
        if done in (3, 60) and len(killed) < 2:
            pid = office if not killed else pids(daemon)["office"]
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    answered = anyio.run(lambda: many(daemon, 200, meanwhile=kill))
    assert len(killed) == 2
    assert answered == remote.asked > 5
    daemon.wait(lambda: len(ledger(daemon, "SELECT id FROM ledger WHERE how != 'lost'")) == answered, "the ledger")
    [(cost,)] = ledger(daemon, "SELECT sum(cost) FROM ledger")
    assert cost <= spent(daemon) <= DOLLARS


def test_what_a_killed_cell_had_leased_counts_as_spent_and_the_budget_holds(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    daemon = make_fleet(DAY.replace("0.05", "5.0")).start()
    assert daemon.run("ask", "writer", ask()).returncode == 0  # a lease of several calls
    os.kill(pids(daemon)["writer"], signal.SIGKILL)
    daemon.wait(lambda: daemon.row("writer")["state"] == "running", "the next life of the writer")
    assert daemon.run("ask", "writer", ask()).returncode == 0
    daemon.wait(lambda: "money-lost" in daemon.kinds("writer"), "the news that money is lost")
    assert spent(daemon) <= 100 * DOLLARS
    assert remote.asked == 2


def test_a_budget_that_is_raised_in_the_file_is_the_budget_after_a_reload(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    remote.model.say("well", usage=Usage(input=100, output=1_000))
    daemon = make_fleet(DAY.replace("0.05", "0.003")).start()
    assert daemon.run("ask", "writer", ask()).returncode == 0
    refused = daemon.run("ask", "writer", ask())
    assert refused.returncode == Exit.REFUSED
    assert "the fleet's budget for the day" in refused.stderr
    before = pids(daemon)
    daemon.file.write_text(daemon.file.read_text().replace("0.003", "5.0"), encoding="utf-8")
    done = daemon.run("reload", within=60.0)
    assert "rolled: office" in done.stdout, done.stdout + done.stderr
    assert daemon.run("ask", "writer", ask()).returncode == 0
    assert {name for name, pid in pids(daemon).items() if pid != before[name]} == {"office"}


def test_people_see_what_was_spent_by_whom_on_what_and_how_budgets_stand(make_fleet: MakeFleet) -> None:
    daemon = make_fleet(DAY).start()
    for _ in range(2):
        assert daemon.run("ask", "writer", ask("cached")).returncode == 0
    daemon.wait(lambda: daemon.json("cost")["rows"] != [], "the ledger")
    daemon.wait(lambda: daemon.json("cost")["rows"][0]["hits"] == 1, "the second answer")
    [row] = daemon.json("cost", "--by", "actor")["rows"]
    assert (row["name"], row["calls"], row["hits"]) == ("writer", 2, 1)
    assert row["saved"] == row["cost"] > 0
    shown = daemon.run("cost", "--by", "model", "--since", "1h", "--as", "gpt-5-mini").stdout
    assert "scripted" in shown
    assert "with gpt-5-mini the same tokens would cost $0.0" in shown
    assert "the fleet's budget for the day" in shown
    assert "inline" in shown, "the longest prompts"
    assert daemon.run("cost", "--as", "no-such-model").returncode == 6
    assert daemon.run("down").returncode == 0
    at_rest = daemon.run("cost", "--by", "model", "--as", "gpt-5-mini")
    assert "scripted" in at_rest.stdout, at_rest.stderr
    assert "with gpt-5-mini" in at_rest.stdout


# --- endpoints


def test_an_endpoint_that_is_down_at_the_start_and_comes_later_is_waited_for(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    remote.leave()
    daemon = make_fleet().start()

    async def story() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(daemon_answers)
            await anyio.to_thread.run_sync(
                lambda: daemon.wait(lambda: "waiting on model" in daemon.row("writer")["doing"], "the declared wait")
            )
            await anyio.to_thread.run_sync(remote.come_back)

    async def daemon_answers() -> None:
        assert await many(daemon, 1) == 1

    anyio.run(story)


def test_durable_work_outlives_an_endpoint_that_is_pulled_away(make_fleet: MakeFleet, remote: Remote) -> None:
    daemon = make_fleet().start()
    remote.leave()
    assert daemon.run("enqueue", "clerk", ask("a task", timeout=0.5)).returncode == 0
    daemon.wait(lambda: "handler-short" in daemon.kinds("clerk"), "a first try in vain")
    remote.come_back()
    daemon.wait(lambda: daemon.row("clerk")["handled"] >= 2, "the task", within=40.0)
    assert daemon.json("dead", "ls") == []
    assert remote.asked == 1


def test_a_key_in_the_environment_is_not_in_that_of_the_office(
    make_fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    daemon = make_fleet()
    daemon.file.write_text(
        daemon.file.read_text().replace('key_file = "model.key"', 'key_env = "OUR_KEY"'), encoding="utf-8"
    )
    daemon.start()
    assert daemon.run("ask", "writer", ask()).returncode == 0
    having = {name for name, pid in pids(daemon).items() if KEY.encode() in Path(f"/proc/{pid}/environ").read_bytes()}
    assert having == {"writer", "clerk"}


@pytest.mark.parametrize("status", [401, 200])
def test_a_key_is_in_no_log_no_event_no_error_and_no_file_but_its_own(
    make_fleet: MakeFleet, remote: Remote, status: int
) -> None:
    if status != 200:
        remote.model.fail(status, words=f"Incorrect API key provided: {KEY}", times=5)
    daemon = make_fleet().start()
    done = daemon.run("ask", "writer", ask())
    assert (done.returncode == 0) == (status == 200)
    assert remote.model.requests[0].headers["authorization"] == f"Bearer {KEY}"
    said = done.stdout + done.stderr + json.dumps(daemon.json("events", "--limit", "1000")) + daemon.text()
    assert KEY not in said
    daemon.stop()
    holders = [file.name for file in daemon.folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert holders == ["model.key"]


def test_a_fleet_file_whose_key_is_not_there_or_can_be_read_by_others_is_refused_by_its_line(
    make_fleet: MakeFleet,
) -> None:
    daemon = make_fleet()
    key = daemon.folder / "model.key"
    key.chmod(0o644)
    done = daemon.run("check", str(daemon.file))
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
    assert "fleet.toml:8" in done.stderr
    key.unlink()
    assert "no key can be read" in daemon.run("check", str(daemon.file)).stderr


def test_a_bad_outcome_said_by_a_person_has_the_question_asked_anew(make_fleet: MakeFleet, remote: Remote) -> None:
    daemon = make_fleet().start()
    for _ in range(2):
        assert daemon.run("ask", "writer", ask("cached")).returncode == 0
    daemon.wait(lambda: len(ledger(daemon, "SELECT id FROM ledger")) == 2, "both in the ledger")
    message = ledger(daemon, "SELECT message FROM ledger WHERE cache = ''")[0][0]
    assert daemon.run("outcome", message, "bad", "--why", "wrong").returncode == 0
    assert daemon.run("ask", "writer", ask("cached")).returncode == 0
    assert remote.asked == 2
