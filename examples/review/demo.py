"""``make demo``: review this very repository, kill an agent in the middle, and show that nothing was lost.

It exits 0 only if all of this is so: the fleet came up; ``ps`` showed an agent with a message in hand when its process
was killed with SIGKILL; the supervisor saw that and started it again; the report equals, byte for byte, that of an
undisturbed run; the fleet stopped and left no process behind.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from rich.console import Console
from rich.table import Table

from callboard import Client, Json

ROOT: Final = Path(__file__).resolve().parents[2]
FLEET: Final = ROOT / "examples" / "review" / "fleet.toml"
REQUEST: Final = Json(msgspec.json.encode({"type": "ReviewRequest", "path": "."}), "ReviewRequest")
TARGETS: Final = ("bandit", "ruff")
REVIEW_WITHIN: Final = 300.0
READY_WITHIN: Final = 60.0
say: Final = Console(highlight=False).print


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


async def wait_busy(client: Client) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Wait until ``ps`` shows an analyser with a message in hand; return its row, and all rows."""
    with anyio.fail_after(60):
        while True:
            found = await rows(client)
            busy = [row for row in found if row["actor"] in TARGETS and row["in_hand"]]
            if busy:
                return busy[0], found
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


async def disturbed_review(client: Client) -> tuple[bytes, dict[str, Any]]:
    """Review again, and kill an agent that has a message in hand."""
    reports: list[bytes] = []
    victims: list[dict[str, Any]] = []

    async def kill_one() -> None:
        victim, found = await wait_busy(client)
        os.kill(victim["pid"], signal.SIGKILL)
        victims.append(victim)
        show(found)
        say(f"  sent SIGKILL to [bold]{victim['actor']}[/] (process {victim['pid']}) with {victim['in_hand']} in hand")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill_one)
        reports.append(await review(client))
    return reports[0], victims[0]


async def tell_the_story(state: Path) -> None:
    """Run both reviews against the running fleet and hold them against each other."""
    async with Client.connect("review", state=state) as client:
        say("\n[bold]1. A review, undisturbed[/]")
        calm = await review(client)
        require(f"the editor answered with a report of {len(calm):,} bytes", holds=len(calm) > 1000)
        say("\n[bold]2. The same review, with an agent killed in the middle[/]")
        stormy, victim = await disturbed_review(client)
        seen = [event for event in await events(client) if event["subject"] == victim["cell"]]
        after = {row["actor"]: row for row in await rows(client)}[victim["actor"]]
        require("the supervisor saw it die", holds=any("SIGKILL" in event["text"] for event in seen))
        require(f"{victim['actor']} runs again, as process {after['pid']}",
                holds=after["pid"] not in (0, victim["pid"]) and after["restarts"] > victim["restarts"])  # fmt: skip
        require("the report equals the undisturbed one, byte for byte", holds=calm == stormy)
        say("\n[bold]3. The report's head[/]")
        say("\n".join(msgspec.json.decode(stormy)["text"].splitlines()[:25]), markup=False)
        say("\n[bold]4. What the supervisor did[/]")
        for event in await events(client):
            say(f"  {event['kind']:<14} {event['subject']}: {event['text']}", markup=False)


def wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the daemon says that it is ready; return what it says."""
    end = time.monotonic() + READY_WITHIN
    while "ready:" not in (text := log.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(f"callboard up is ready within {READY_WITHIN} s. It said: {text}")
        time.sleep(0.02)
    return text.split("ready:")[1].splitlines()[0].strip()


def run(state: Path) -> None:
    """Start the daemon, tell the story, stop the daemon."""
    log = state / "up.log"
    command = [sys.executable, "-m", "callboard.supervisor.cli", "up", str(FLEET), "--state", str(state)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)  # noqa: S603 - our own
    try:
        ready = wait_ready(process, log)
        say(f"[bold]callboard up examples/review/fleet.toml[/]\n{ready}")
        anyio.run(tell_the_story, state)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    say("\n[bold]5. The end[/]")
    require("the fleet drained and stopped", holds=code == 0)
    require("no process was left behind", holds=not left_behind(state))


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
    say("\n[bold green]An agent was killed at work. Nothing was lost, nothing differs.[/]")


if __name__ == "__main__":
    main()
