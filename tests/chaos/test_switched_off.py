"""What keeps the ledger even, switched off one by one: each time one of its checks says so.

Two of these checks the random run cannot make: nothing in it speaks for a dead process, and what a guest was promised
it cannot tell from what lay unread in a socket.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from callboard import Fleet
from callboard.actors import Intensity, Speaker, work
from callboard.actors.verdict import Judgement
from callboard.bus import Endpoint, MessageRefused, connect
from callboard.clock import SystemClock
from callboard.supervisor import coroner, incarnation, tree
from callboard.supervisor.charge import Charge
from callboard.supervisor.restart import decide_restart
from callboard.supervisor.state import Whereabouts
from callboard.supervisor.verdict import WELL

from . import run as run_module
from .agents import Job
from .ledger import Sent, check_asks, check_held, check_orphans, check_replaced, check_tells, lines_of
from .run import Run, fleet_of, guest_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(100)]
on_and_off = pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
HERE = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cells import the agents by the name that pytest gave their module."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def quiet(fleet: Fleet) -> Run:
    return Run(fleet, seed=0, say=lambda _: None)


async def pid_of(run: Run, actor: str) -> int:
    [pid] = {row["pid"] for row in await run.rows() if row["actor"] == actor}
    assert isinstance(pid, int)
    return pid


async def exits_of(run: Run) -> list[dict[str, Any]]:
    """Return how cells have ended, once one has."""
    with anyio.fail_after(10.0):
        while not (exits := [event for event in await run.events() if event["kind"] == "cell-exited"]):
            pass  # asking is what is waited for
    return exits


async def test_without_the_verdict_on_silent_cells_nobody_mends_a_stopped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incarnation, "judge_cell", lambda *_args, **_limits: WELL)
    async with fleet_of(tmp_path) as (fleet, _log):
        run = quiet(fleet)
        await run.ask("ant")
        pid = await pid_of(run, "ant")
        os.kill(pid, signal.SIGSTOP)
        with anyio.move_on_after(4.0):
            while await run.ask("ant") != "answered":  # noqa: ASYNC110 - asking is what is waited for
                await anyio.sleep(0.1)
        states = {row["actor"]: row["state"] for row in await run.rows()}
        assert "ant is silent" in check_held(states)
        assert check_asks(run.asked.values())
        os.kill(pid, signal.SIGKILL)


@on_and_off
async def test_a_tell_that_a_dead_cell_held_is_named_by_its_flight_record_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    if not on:
        monkeypatch.setattr(coroner, "items_of", lambda _owed: [])
    async with fleet_of(tmp_path) as (fleet, log):
        run = quiet(fleet)
        await run.ask("ant")
        pid = await pid_of(run, "ant")
        told = [
            Sent(f"ant:{number}", await fleet.tell("ant", Job(name=f"ant:{number}", seconds=20.0)), "sent")
            for number in range(1001, 1005)
        ]
        with anyio.fail_after(10.0):
            while not [row for row in await run.rows() if row["actor"] == "ant" and row["depth"] == 3]:
                pass  # asking is what is waited for
        os.kill(pid, signal.SIGKILL)
        named = (await exits_of(run))[0]["detail"]["lost_ids"].split()
        wrong = check_tells(told, lines_of(log.read_text(encoding="ascii")), named, [])
    assert len(wrong) == (0 if on else 4)


@on_and_off
async def test_a_guest_hears_of_a_death_by_the_settling_of_debts_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    if not on:
        monkeypatch.setattr(coroner, "settle_death", lambda *_args, **_named: (0, 0))
    asked: list[Sent] = []
    async with fleet_of(tmp_path) as (fleet, _log), guest_of(tmp_path, within=5.0) as guest:
        run = quiet(fleet)
        pid = await pid_of(run, "ant")

        async def ask() -> None:
            asked.append(Sent("ant:1", "", await guest.ask("ant", {"name": "ant:1", "seconds": 20.0})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with anyio.fail_after(10.0):
                while not [row for row in await run.rows() if row["actor"] == "ant" and row["in_hand"]]:
                    pass  # asking is what is waited for
            os.kill(pid, signal.SIGKILL)
    assert asked[0].outcome == ("actor-died" if on else "deadline")
    assert bool(check_asks(asked)) != on


@on_and_off
async def test_what_a_replaced_process_still_says_is_kept_out_by_the_fence_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    async def say_nothing(_charge: Charge) -> None:
        """Do nothing: the mechanism is switched off."""

    if not on:
        monkeypatch.setattr(Charge, "_fence", say_nothing)
    async with fleet_of(tmp_path) as (fleet, log):
        run = quiet(fleet)
        started = [event for event in await run.events() if event["kind"] == "cell-started"]
        [epoch] = [event["detail"]["epoch"] for event in started if event["subject"] == "red"]
        os.kill(await pid_of(run, "ant"), signal.SIGKILL)
        await exits_of(run)
        assert await run.ask("ant") == "answered"
        at = msgspec.json.decode((tmp_path / "state" / "chaos" / "daemon.json").read_bytes(), type=Whereabouts)
        async with (
            connect(at.options("a ghost")) as bus,
            Endpoint(bus, fleet="chaos", cell="red", clock=SystemClock(), epoch=epoch) as ghost,
        ):
            with suppress(MessageRefused):
                await Speaker(ghost).tell("cat", Job(name="cat:1"))
            await ghost.flush()
        assert await run.ask("cat") == "answered"  # it has come to all that was said to it before
        done = lines_of(log.read_text(encoding="ascii"))
    assert bool(check_replaced(done, {"cat:1"})) != on


@on_and_off
async def test_one_that_crashes_again_and_again_is_held_by_its_budget_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    def decide_generously(*args: Any, **named: Any) -> Any:
        return decide_restart(*args, **(named | {"intensity": Intensity(most=1000, within=1.0)}))

    if not on:
        monkeypatch.setattr(tree, "decide_restart", decide_generously)
    async with fleet_of(tmp_path, intensity=Intensity(most=2, within=60.0)) as (fleet, _log):
        run = quiet(fleet)
        outcomes = [await run.ask("ant", harm="exit", seconds=number) for number in range(4)]
        states = {row["actor"]: row["state"] for row in await run.rows()}
    assert outcomes == ["actor-died", "actor-died", "actor-died", "held" if on else "actor-died"]
    assert ("ant is held" in check_held(states)) == on


@on_and_off
async def test_a_handler_that_comes_no_further_is_ended_by_its_verdict_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool
) -> None:
    monkeypatch.setattr(run_module, "ASK_WITHIN", 6.0)
    if not on:
        monkeypatch.setattr(work, "judge_hand", lambda *_args, **_named: Judgement("busy", ""))
    async with fleet_of(tmp_path, isolation="task") as (fleet, _log):
        run = quiet(fleet)
        assert await run.ask("ant", harm="hang") == ("stalled" if on else "deadline")
        assert bool(check_asks(run.asked.values())) != on


@contextmanager
def killed_daemon(folder: Path, how: str) -> Generator[set[int]]:
    """Yield what a daemon had started that was killed, with one of its cells stopped; end it in the end."""
    command = [sys.executable, "-m", "chaos.owner", str(folder), how]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)
    assert owner.stdout is not None
    pids = {int(pid) for pid in owner.stdout.readline().split()}
    try:
        for pid in pids:
            if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGSTOP)  # so it cannot see that its daemon is gone
                break
        owner.kill()
        owner.wait()
        yield pids
    finally:
        for pid in alive(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        owner.stdout.close()


def alive(pids: set[int]) -> set[int]:
    """Return those that have not ended."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
    return found


@on_and_off
async def test_what_a_killed_daemon_has_started_is_ended_by_its_guardian_and_by_nothing_else(
    tmp_path: Path, on: bool
) -> None:
    with killed_daemon(tmp_path, "on" if on else "off") as pids:
        assert len(pids) == 5  # three cells, the server, the guardian
        with anyio.move_on_after(6.0):
            while alive(pids):  # noqa: ASYNC110 - a condition of other processes
                await anyio.sleep(0.05)
        assert bool(check_orphans(alive(pids))) != on
