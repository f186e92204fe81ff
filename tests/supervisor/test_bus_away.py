"""The nats-server killed, killed again, and paused for longer than a connection takes to notice that it is deaf."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from .conftest import FLEET, Daemon

NOTICED = 11.0
"""Seconds after which every connection knows that it is deaf: 2 + 2 * 3, and some to spare."""
BACK_WITHIN = 10.0
CELLS = ("desk", "clerk")

THIRD = '\n[[actor]]\nuse = "shop_agents:Clerk"\nname = "second-clerk"\n'


def ask(daemon: Daemon, *, actor: str = "desk", wait: float = 0.0) -> "subprocess.CompletedProcess[str]":
    question = json.dumps({"type": "Question", "text": "hi", "wait": wait})
    return daemon.run("ask", actor, question, "--json", "--timeout", "40", within=60.0)


def server_of(daemon: Daemon) -> int:
    [server] = daemon.running("nats-server")
    return server


def pause(daemon: Daemon, seconds: float) -> None:
    """Stop the server, let it go on after `seconds`."""
    server, end = server_of(daemon), time.monotonic() + seconds
    os.kill(server, signal.SIGSTOP)
    try:
        daemon.wait(lambda: time.monotonic() > end, "the pause to be over", within=seconds + 1.0)
    finally:
        os.kill(server, signal.SIGCONT)


def serves(daemon: Daemon, *actors: str) -> None:
    """See that each actor answers, on the first question that does not fail for the gap itself."""
    for actor in actors or CELLS:
        daemon.wait(lambda: ask(daemon, actor=actor).returncode == 0, f"{actor} to answer", within=BACK_WITHIN)  # noqa: B023


def workers(daemon: Daemon) -> list[int]:
    return sorted(daemon.running("callboard.supervisor.worker"))


def heard_of_gap(daemon: Daemon, *cells: str) -> None:
    """See that each cell has said that it is back, or was replaced for the loss of its bus."""
    for cell in cells or CELLS:
        daemon.wait(lambda: not {"bus-back", "cell-exited"}.isdisjoint(daemon.kinds(cell)), f"{cell} to be back")  # noqa: B023


def crashes_of(daemon: Daemon, *actors: str) -> list[int]:
    return [daemon.json("health", actor)["crashes"] for actor in actors or CELLS]


def starts(daemon: Daemon, *cells: str) -> list[int]:
    return [daemon.kinds(cell).count("cell-started") for cell in cells or CELLS]


@pytest.mark.chaos
def test_a_server_killed_three_times_costs_no_process_and_no_budget(daemon: Daemon) -> None:
    before = workers(daemon)
    for _ in range(3):
        killed = server_of(daemon)
        os.kill(killed, signal.SIGKILL)
        daemon.wait(lambda: daemon.running("nats-server") not in ([], [killed]), "another server")  # noqa: B023
        serves(daemon)
    assert workers(daemon) == before
    assert (starts(daemon), crashes_of(daemon)) == ([1, 1], [0, 0])
    heard_of_gap(daemon, "daemon", *CELLS)


@pytest.mark.chaos
def test_a_server_paused_until_all_are_deaf_costs_no_process_no_budget_and_no_answer(daemon: Daemon) -> None:
    before = workers(daemon)
    done: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(target=lambda: done.append(ask(daemon, wait=NOTICED + 2.0)))
    thread.start()
    daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
    pause(daemon, NOTICED)
    serves(daemon)
    thread.join(timeout=40)
    assert done[0].returncode == 0, done[0].stderr
    assert json.loads(done[0].stdout)["text"] == "HI"
    assert workers(daemon) == before, "nobody is silent only because the server was away"
    assert (starts(daemon), crashes_of(daemon)) == ([1, 1], [0, 0])
    heard_of_gap(daemon, "daemon", *CELLS)


@pytest.mark.long
def test_a_cell_that_dies_while_the_server_is_paused_is_replaced_once_it_goes_on(daemon: Daemon) -> None:
    killed, neighbour = daemon.row("desk")["pid"], daemon.row("clerk")["pid"]
    os.kill(server_of(daemon), signal.SIGSTOP)
    os.kill(killed, signal.SIGKILL)
    pause(daemon, NOTICED)
    serves(daemon)
    assert (daemon.row("clerk")["pid"], len(workers(daemon))) == (neighbour, 2)
    assert daemon.row("desk")["pid"] != killed
    assert crashes_of(daemon) == [1, 0], "the kill counts, the wait for the bus does not"


@pytest.mark.chaos
def test_a_cell_that_dies_with_the_server_serves_again_within_three_seconds(daemon: Daemon) -> None:
    """Nothing runs into a deadline: what waited on the connection that was cut hears so at once.

    Twice; a third death so soon waits for its backoff, which is as long as all the rest.
    """
    for _ in range(2):
        desk = daemon.row("desk")["pid"]
        began = time.monotonic()
        for pid in (server_of(daemon), desk):
            os.kill(pid, signal.SIGKILL)
        daemon.wait(lambda: ask(daemon).returncode == 0, "desk to answer again")
        assert time.monotonic() - began < 3.0
        assert daemon.row("desk")["pid"] != desk


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_server_paused_for_half_a_minute_is_no_reason_to_restart_anything(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon(FLEET + THIRD).start()
    cells = (*CELLS, "second-clerk")
    before = workers(daemon)
    pause(daemon, 30.0)
    serves(daemon, *cells)
    assert workers(daemon) == before
    assert (starts(daemon, *cells), crashes_of(daemon, *cells)) == ([1, 1, 1], [0, 0, 0])
    heard_of_gap(daemon, "daemon", *cells)
