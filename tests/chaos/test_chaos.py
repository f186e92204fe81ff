"""The short chaos run of ``make test``, and the same run with a mechanism switched off."""

import os
import random
import signal
from pathlib import Path

import anyio
import pytest

from callboard.supervisor import coroner, incarnation
from callboard.supervisor.verdict import WELL

from .agents import Job
from .ledger import Sent, check_asks, check_held, check_tells, lines_of
from .run import Run, chaos, fleet_of

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(100)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let cells import the agents by the name that pytest gave their module."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))


@pytest.mark.long  # seed 8333 once left a question open after a wedged cell was killed: a race to be found
async def test_the_ledger_of_a_chaos_run_comes_out_even(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10_000)
    said: list[str] = []
    wrong, ledger = await chaos(tmp_path, seconds=12.0, seed=seed, say=said.append)
    story = "\n".join([f"seed {seed}", *said, *ledger, *wrong])
    print(story)  # noqa: T201 - pytest shows it when it fails
    assert not wrong, story


async def test_without_the_verdict_on_silent_cells_nobody_mends_a_stopped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incarnation, "judge_cell", lambda *_args, **_limits: WELL)
    async with fleet_of(tmp_path) as (fleet, _log):
        run = Run(fleet, seed=0, say=lambda _: None)
        await run.ask("ant")
        [pid] = {row["pid"] for row in await run.rows() if row["actor"] == "ant"}
        os.kill(pid, signal.SIGSTOP)
        with anyio.move_on_after(4.0):
            while await run.ask("ant") != "answered":  # noqa: ASYNC110 - asking is what is waited for
                await anyio.sleep(0.1)
        states = {row["actor"]: row["state"] for row in await run.rows()}
        assert "ant is silent" in check_held(states)
        assert check_asks(run.asked.values())
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_tell_that_a_dead_cell_held_is_named_by_its_flight_record_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    if not kept:
        monkeypatch.setattr(coroner, "items_of", lambda _owed: [])
    async with fleet_of(tmp_path) as (fleet, log):
        run = Run(fleet, seed=0, say=lambda _: None)
        await run.ask("ant")
        [pid] = {row["pid"] for row in await run.rows() if row["actor"] == "ant"}
        told = [
            Sent(f"ant:{number}", await fleet.tell("ant", Job(name=f"ant:{number}", seconds=20.0)), "sent")
            for number in range(1001, 1005)
        ]
        with anyio.fail_after(10.0):
            while not [row for row in await run.rows() if row["actor"] == "ant" and row["depth"] == 3]:
                pass  # asking is what is waited for
            os.kill(pid, signal.SIGKILL)
            while not (exits := [event for event in await run.events() if event["kind"] == "cell-exited"]):
                pass  # the same
        named = exits[0]["detail"]["lost_ids"].split()
        wrong = check_tells(told, lines_of(await anyio.Path(log).read_text(encoding="ascii")), named, [])
    assert len(wrong) == (0 if kept else 4)
