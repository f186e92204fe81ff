"""``make demo``: review this very repository, harm the fleet in the middle, twice, and show that nothing was lost.

First three agents: one is killed, one is stopped so that it only looks alive, and one waits for a tool that has stopped
answering. Then the whole fleet, while a review is under way as durable work: the daemon is killed, and with it
everything; started again it goes on, and the editor is killed too. It exits 0 only if all of this is so: the fleet came
up; ``ps`` showed each with a message in hand when it was harmed; the supervisor noticed each, told them apart, and
mended them; both reports equal, byte for byte, that of an undisturbed run; no step that was finished was taken again;
the fleet stopped and left no process behind.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import anyio.to_thread
import msgspec
from rich.console import Console
from rich.table import Table

from callboard import Client, Json

from .bill import PEER, bill, wait_booked

ROOT: Final = Path(__file__).resolve().parents[2]
FLEET: Final = ROOT / "examples" / "review" / "fleet.toml"
REQUEST: Final = Json(msgspec.json.encode({"type": "ReviewRequest", "path": "."}), "ReviewRequest")
SILENT_AFTER: Final = 1.5
STALLED_AFTER: Final = 8.0
"""Seconds, instead of the patience that a large repository needs: people watch."""
REVIEW_WITHIN: Final = 300.0
READY_WITHIN: Final = 60.0
say: Final = Console(highlight=False).print


class Calm(NamedTuple):
    """What an undisturbed review gave, and how many questions it took."""

    report: bytes
    questions: int


class Failed(Exception):
    """Something that the demo promises did not come true."""


def require(what: str, *, holds: bool) -> None:
    """Say that `what` is so, or fail."""
    if not holds:
        raise Failed(what)
    say(f"  [green]✓[/] {what}")


async def rows(client: Client) -> list[dict[str, Any]]:
    """Return what ``callboard ps`` shows."""
    reply = await client.ask("supervisor", Json(b'{"type":"ListActors"}', "ListActors"), timeout=10.0)
    found: list[dict[str, Any]] = reply["rows"]
    return found


async def events(client: Client) -> list[dict[str, Any]]:
    """Return what ``callboard events`` shows."""
    query = Json(b'{"type":"ListEvents","limit":200}', "ListEvents")
    found: list[dict[str, Any]] = (await client.ask("supervisor", query, timeout=10.0))["events"]
    return found


async def review(client: Client) -> bytes:
    """Ask the editor for a review of this repository; return the report as bytes."""
    return msgspec.json.encode(await client.ask("editor", REQUEST, timeout=REVIEW_WITHIN))


async def wait_busy(client: Client, actor: str) -> dict[str, Any]:
    """Wait until ``ps`` shows `actor` with a message in hand; return its row."""
    with anyio.fail_after(60):
        while True:
            for row in await rows(client):
                if row["actor"] == actor and row["in_hand"]:
                    return row
            await anyio.sleep(0.01)


def show(found: list[dict[str, Any]]) -> None:
    """Print rows as ``callboard ps`` does."""
    table = Table(box=None, pad_edge=False)
    for name in ("actor", "state", "pid", "in hand", "handled", "restarts"):
        table.add_column(name)
    for row in found:
        table.add_row(*(str(row[key]) for key in ("actor", "state", "pid")), ", ".join(row["in_hand"]),
                      str(row["handled"]), str(row["restarts"]))  # fmt: skip
    say(table)


async def kill_it(client: Client) -> None:
    """Kill ruff's process: the plainest of deaths."""
    victim = await wait_busy(client, "ruff")
    os.kill(victim["pid"], signal.SIGKILL)
    say(
        f"  [bold]ruff[/] is killed: SIGKILL to process {victim['pid']}, with {len(victim['in_hand'])} messages in hand"
    )


async def stop_it(client: Client) -> None:
    """Stop bandit's process: it is there, its connection is open, and nothing moves."""
    victim = await wait_busy(client, "bandit")
    os.kill(victim["pid"], signal.SIGSTOP)
    say(f"  [bold]bandit[/] only looks alive: SIGSTOP to process {victim['pid']}")


async def hang_it(client: Client) -> None:
    """Stop the tool that metrics waits for: the agent is alive and well, and comes no further."""
    with anyio.fail_after(60):
        while True:
            victim = await wait_busy(client, "metrics")
            for child in children_of(victim["pid"]):
                if runs_itself(child, victim["pid"]) and await stopped(child):
                    say(f"  [bold]metrics[/] waits for a tool that hangs: SIGSTOP to its worker, process {child}")
                    return


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process; none when it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def runs_itself(pid: int, parent: int) -> bool:
    """Return whether a child has become its own program: until then its parent waits for it with its whole process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return False


async def stopped(pid: int) -> bool:
    """Stop a process; False if it ended before: a worker lives for a tenth of a second."""
    try:
        os.kill(pid, signal.SIGSTOP)
        while (state := state_of(pid)) not in "TZX":  # noqa: ASYNC110 - the system has no event for it
            await anyio.sleep(0.001)
    except OSError:
        return False
    return state == "T"


def state_of(pid: int) -> str:
    """Return the letter by which the system says how a process is."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


async def disturbed_review(client: Client) -> bytes:
    """Review again, and harm three agents that have a message in hand."""
    reports: list[bytes] = []
    async with anyio.create_task_group() as tasks:
        for harm in (kill_it, stop_it, hang_it):
            tasks.start_soon(harm, client)
        reports.append(await review(client))
    return reports[0]


STORIES: Final = {
    "ruff": ("cell-exited", "killed by SIGKILL"),
    "bandit": ("cell-exited", "stopped by a signal"),
    "metrics": ("handler-stalled", "no progress for"),
}
"""For each victim the event that must tell its story, and the words in it."""


async def told(client: Client, actor: str, kind: str, words: str) -> dict[str, Any] | None:
    """Return the event that tells what happened to an actor."""
    seen = [event for event in await events(client) if event["subject"] == actor and event["kind"] == kind]
    return next((event for event in seen if words in event["text"]), None)


async def tell_the_story(state: Path) -> Calm:
    """Run both reviews against the running fleet and hold them against each other; return what the calm one gave."""
    async with Client.connect("review", state=state) as client:
        say("\n[bold]1. A review, undisturbed[/]")
        calm = await review(client)
        require(f"the editor answered with a report of {len(calm):,} bytes", holds=len(calm) > 1000)
        before = {row["actor"]: row for row in await rows(client)}
        say("\n[bold]2. The same review, with three agents harmed in the middle[/]")
        stormy = await disturbed_review(client)
        after = {row["actor"]: row for row in await rows(client)}
        show(list(after.values()))
        await compare(client, before, after)
        require("the report equals the undisturbed one, byte for byte", holds=calm == stormy)
        say("\n[bold]3. The report's head[/]")
        say("\n".join(msgspec.json.decode(stormy)["text"].splitlines()[:25]), markup=False)
        await count_costs(state, reviews=2)
        say("\n[bold]5. What the supervisor saw and did[/]")
        for event in await events(client):
            say(f"  {event['kind']:<15} {event['subject']}: {event['text']}", markup=False)
        return Calm(calm, answered(list(before.values())))


async def count_costs(state: Path, *, reviews: int) -> None:
    """Show what the overviews did cost; however many reviews of the same commit there are, the model writes one."""
    booked = await anyio.to_thread.run_sync(wait_booked, state, reviews)
    asked = booked["calls"] - booked["hits"] - booked["failures"]
    say(f"\n[bold]4. What the model did cost, after {reviews} reviews[/]")
    say(await anyio.to_thread.run_sync(bill, state, "--by", "model", "--as", PEER), markup=False)
    require(f"the model was asked {asked} time for {booked['calls']} overviews; the others came from the cache",
            holds=booked["calls"] >= reviews and asked == 1)  # fmt: skip


async def compare(client: Client, before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> None:
    """Hold each victim against what it was, and its story against what must be in it."""
    for actor, (kind, words) in STORIES.items():
        require(f"the supervisor noticed {actor}: {words}", holds=await told(client, actor, kind, words) is not None)
    for actor in ("ruff", "bandit"):
        require(f"{actor} runs again, as process {after[actor]['pid']}",
                holds=after[actor]["pid"] not in (0, before[actor]["pid"]))  # fmt: skip
    require("metrics needed no new process: its handler was stopped, and the message asked again",
            holds=after["metrics"]["pid"] == before["metrics"]["pid"])  # fmt: skip


def impatient(fleet: str) -> str:
    """Return the fleet file with limits that suit people who watch; the editor and the surveyor keep theirs."""
    limits = f"silent_after = {SILENT_AFTER}\nstalled_after = {STALLED_AFTER}"
    return re.sub(r"stalled_after = 660\.0.*", limits, fleet)


def wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the daemon says that it is ready; return what it says."""
    end = time.monotonic() + READY_WITHIN
    while "ready:" not in (text := log.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(f"callboard up is ready within {READY_WITHIN} s. It said: {text}")
        time.sleep(0.02)
    return text.split("ready:")[1].splitlines()[0].strip()


def start(state: Path) -> "subprocess.Popen[bytes]":
    """Run ``callboard up`` until it is ready."""
    log, fleet = state / "up.log", state / "fleet.toml"
    command = [sys.executable, "-m", "callboard.supervisor.cli", "up", str(fleet), "--state", str(state)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)  # noqa: S603 - our own
    try:
        say(f"[bold]callboard up examples/review/fleet.toml[/]\n{wait_ready(process, log)}")
    except BaseException:
        process.kill()
        raise
    return process


def run(state: Path) -> None:
    """Start the daemon, tell the story, kill the daemon in the middle of it, and stop it in the end."""
    patient = FLEET.read_text(encoding="utf-8").replace('reports = "reports"', f'reports = "{state}/reports"')
    (state / "fleet.toml").write_text(impatient(patient), encoding="utf-8")
    process = start(state)
    try:
        calm = anyio.run(tell_the_story, state)
        done = anyio.run(begin_durable, state)
        process.kill()
        process.wait()
        say(
            f"  [bold]everything[/] is killed: SIGKILL to the daemon, process {process.pid}; {len(done)} steps are kept"
        )
        require("what was left of the fleet ended by itself", holds=all_gone(state))
        process = start(state)
        anyio.run(end_durable, state, calm, done)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    say("\n[bold]7. The end[/]")
    require("the fleet drained and stopped", holds=code == 0)
    require("no process was left behind", holds=not left_behind(state))


# --- as durable work

TASK: Final = "review-of-today"
DESKS: Final = ("bandit", "gaps", "metrics", "ruff")
AT_ONCE: Final = 8
"""Questions that the editor has open at once: so many may be asked again when it is killed."""


async def steps_of(client: Client) -> set[str]:
    """Return the steps that the editor's task has taken, as ``callboard inspect`` shows them."""
    seen = await client.ask("supervisor", Json(b'{"type":"Inspect","actor":"editor"}', "Inspect"), timeout=10.0)
    return {step["name"] for step in seen["steps"] if step["settled"]}


async def wait_steps(client: Client, count: int) -> set[str]:
    """Wait until the task has taken `count` steps; return them."""
    with anyio.fail_after(REVIEW_WITHIN):
        while len(done := await steps_of(client)) < count:  # noqa: ASYNC110 - it is seen only by looking
            await anyio.sleep(0.02)
    return done


async def begin_durable(state: Path) -> set[str]:
    """Enqueue a review, and return the steps that are kept when it is time to kill everything."""
    say("\n[bold]6. The same review as durable work, with everything killed in the middle[/]")
    message = Json(msgspec.json.encode({"type": "ReviewTask", "path": "."}), "ReviewTask")
    async with Client.connect("review", state=state) as client:
        task = await client.enqueue("editor", message, id=TASK)
        again = await client.enqueue("editor", message, id=TASK)
        require("it was enqueued twice under one id", holds=task == again == TASK)
        return await wait_steps(client, 8)


async def end_durable(state: Path, calm: Calm, done: set[str]) -> None:
    """Kill the editor once more, wait for the report, and hold it against the undisturbed one."""
    async with Client.connect("review", state=state) as client:
        kept = await wait_steps(client, len(done) + 4)
        require(f"the {len(done)} steps are still there", holds=done <= kept)
        victim = next(row for row in await rows(client) if row["actor"] == "editor")
        os.kill(victim["pid"], signal.SIGKILL)
        say(f"  [bold]editor[/] is killed: SIGKILL to process {victim['pid']}; {len(kept)} steps are kept")
        file = state / "reports" / f"{TASK}.json"
        with anyio.fail_after(REVIEW_WITHIN):
            while await client.queued("editor"):  # noqa: ASYNC110 - a queue tells nobody that it is empty
                await anyio.sleep(0.05)
        found = [each.name for each in file.parent.iterdir()]
        require("there is one report, and it equals the undisturbed one, byte for byte",
                holds=found == [file.name] and file.read_bytes() == calm.report)  # fmt: skip
        asked, finished = answered(await rows(client)), sum(not name.startswith("survey") for name in done)
        say(f"  since the daemon was started again the analysers have answered {asked} of {calm.questions} questions")
        require(f"the {finished} that were answered before were not asked again",
                holds=asked <= calm.questions - finished + AT_ONCE)  # fmt: skip
        booked = await anyio.to_thread.run_sync(wait_booked, state, 3)
        require("nor was the model: its answer outlived the death of everything",
                holds=booked["calls"] - booked["hits"] - booked["failures"] == 1)  # fmt: skip


def answered(found: list[dict[str, Any]]) -> int:
    """Return how many questions the analysers have answered since they were started."""
    return sum(row["handled"] for row in found if row["actor"] in DESKS)


def all_gone(state: Path) -> bool:
    """Wait until no process of the fleet is left, five seconds at most; return whether it is so."""
    end = time.monotonic() + 5.0
    while left_behind(state):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def left_behind(state: Path) -> list[str]:
    """Return the processes that still name the state directory in their command line."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        if str(state) in command:
            found.append(command)
    return found


def main() -> None:
    """Run the demo; exit 1 and say what was not so if it fails."""
    with tempfile.TemporaryDirectory(prefix="callboard-demo-") as folder:
        try:
            run(Path(folder))
        except Failed as failure:
            say(f"  [red]✗ not so:[/] {failure}")
            sys.exit(1)
    say("\n[bold green]Killed, stopped, hung, and all of it killed at once: nothing was lost, nothing differs.[/]")


if __name__ == "__main__":
    main()
