"""One run of durable work: thousands of tasks through a real fleet that is killed all the while, then the reckoning.

``callboard up`` runs in a process of its own. Tasks are enqueued all the while; cells, the nats-server and the daemon
itself are killed back to back, the daemon also while it starts. When all harm is over the queues run empty, the daemon
stops, and the files must say that each task that was acknowledged was done once.

``python -m tests.chaos.durable --seconds 600 --seed 7``: the long run.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import anyio

from callboard import CallboardError, Client, Json
from callboard.bus.streams import info_of
from callboard.bus.work_queue import _dead_of

from .durable_daemon import FLEET, Daemon
from .durable_files import read_dead, read_events, read_file
from .durable_ledger import (
    by_step,
    check_buried,
    check_effects,
    check_followed,
    check_front,
    check_kept,
    check_once,
    check_order,
    check_settled,
    check_stored,
    check_told,
    effects_of,
    told,
    words_of,
)
from .durable_plan import CLERK, DESKS, Order, plan
from .durable_sender import Sender
from .ledger import check_orphans

ACTORS: Final = (*DESKS, CLERK)
LEAST: Final = {"cell": 20, "server": 20, "daemon": 20}
"""How often each is killed, however long that takes."""
HARMS: Final = ("cell", "cell", "server", "server", "stop")
EARLY: Final = 0.3
"""Of the daemon's lives, the part that is ended while it starts."""
CALM_WITHIN: Final = 90.0
"""Seconds for what a killed life has left: it is delivered again after twenty, and tried again after that."""

Say = Callable[[str], None]


class Run:
    """The harm of one run."""

    def __init__(self, daemon: Daemon, sender: Sender, *, seed: int, say: Say) -> None:
        self._daemon, self._sender, self._say = daemon, sender, say
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.harms: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def run(self, seconds: float, least: dict[str, int]) -> None:
        """Enqueue and harm for `seconds`, or until the `least` was done; then wait until all work is."""
        begin = time.monotonic()
        self._daemon.spawn()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._sender.run, lambda: (time.monotonic() - begin) / (0.9 * seconds))
            while time.monotonic() < begin + seconds or any(self.harms[what] < count for what, count in least.items()):
                await self._live_and_die()
            self._say("all harm is over")
        await self._daemon.ready()
        await self._wait_calm()

    async def _live_and_die(self) -> None:
        """Have the daemon live for a while, harmed, and kill it."""
        if self._random.random() < EARLY:
            await anyio.sleep(self._random.uniform(0.0, 1.5))
            self.harms["daemon, starting"] += 1
        else:
            await self._daemon.ready()
            for what in self._random.sample(HARMS, len(HARMS)):
                await anyio.sleep(self._random.uniform(0.0, 0.5))
                await self._harm(what)
            await self._sender.knock()
            await anyio.sleep(self._random.uniform(0.0, 0.5))
        self.harms["daemon"] += 1
        self._say(f"daemon {self._daemon.pid}")
        self._daemon.kill()
        self._sender.renew()
        self._daemon.spawn()

    async def _harm(self, what: str) -> None:
        if what == "server":
            await self._daemon.wait(lambda: self._daemon.server() != 0, "the server")
            pid, number = self._daemon.server(), signal.SIGKILL
        else:
            await self._daemon.wait(lambda: self._daemon.cells() != [], "a cell")
            pid = self._random.choice(self._daemon.cells())
            number = signal.SIGSTOP if what == "stop" else signal.SIGKILL
        self.harms[what] += 1
        self._say(f"{what} {pid}")
        self._daemon.harm(pid, number)

    async def _wait_calm(self) -> None:
        """Wait until nothing is queued, and nothing is about to leave; the reckoning says what is."""
        left = "nobody has answered"
        with anyio.move_on_after(CALM_WITHIN):
            while left := await left_over(self._daemon):  # noqa: ASYNC110 - asking is what is waited for
                await anyio.sleep(0.2)
        if left:
            self.wrong.append(f"no calm within {CALM_WITHIN:g} s: {left}")


async def left_over(daemon: Daemon, actors: Iterable[str] = ACTORS) -> str:
    """Return in words what is left to do; nothing if there is nothing twice in a row: what leaves may be on its way.

    A fleet that does not answer has something left to do.
    """
    try:
        async with Client.connect(FLEET, state=daemon.state) as client:
            return await _left(client, actors) or await _left(client, actors)
    except CallboardError as error:
        return repr(error)


async def _left(client: Client, actors: Iterable[str]) -> str:
    for actor in actors:
        query = Json(json.dumps({"type": "Inspect", "actor": actor}).encode(), "Inspect")
        found = await client.ask("supervisor", query, timeout=10.0)
        if found["queued"] or found["leaving"] or found["held"]:
            return f"{actor} has {found}"
    return await _unfiled(client)


async def _unfiled(client: Client) -> str:
    """Return in words what is in the queue of dead letters: one that a daemon died with comes again after 30 s."""
    queue: Any = client._endpoint.bus.queue
    waiting = (await info_of(queue._jetstream, _dead_of(FLEET))).state.messages
    return f"{waiting} dead letters are not filed" if waiting else ""


# --- the reckoning


def reckon(daemon: Daemon, sender: Sender, orders: list[Order]) -> tuple[list[str], list[str]]:
    """Return what is wrong, and the ledger in words; nobody may own the files."""
    files = {actor: read_file(daemon.state, actor) for actor in ACTORS}
    dead, effects = read_dead(daemon.state), effects_of(daemon.effects.read_text(encoding="ascii"))
    stored = list(sender.stored.values())
    wrong = [
        *sender.strange, *check_stored(orders, sender.stored), *check_kept(stored, files, dead),
        *check_buried(stored, dead), *check_once(files), *check_followed(stored, files), *check_told(stored, files),
        *check_order(stored, files), *check_settled(files, {each.id for each in dead}),
        *check_front(sender.at_door, dead), *check_effects(stored, files, effects, daemon.deaths),
    ]  # fmt: skip
    repeated = {name: len(lines) for name, lines in by_step(effects).items() if len(lines) > 1}
    words = words_of(stored, files)
    said = Counter(kind for kind in ("message-uncertain", "message-not-sent") for _ in read_events(daemon.state, kind))
    ledger = [
        f"tasks     {len(stored)} acknowledged, {sender.doubled} of them twice; unheard {_counts(sender.repeated)}",
        f"done      {sum(len(files[desk].inbox) for desk in DESKS)}, and {len(files[CLERK].inbox)} that followed",
        f"buried    {len(dead)}: {_counts(Counter(each.reason for each in dead))}",
        f"at door   {sender.at_door.total()} stored that do not fit",
        f"told      {len(told(files))} of {len(words)} words were heard; {_counts(said) or 'nothing'} was reported",
        f"effects   {len(effects)} of {len(by_step(effects))} steps; repeated: {repeated or 'none'}",
    ]  # fmt: skip
    return wrong, ledger


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in found.most_common())


async def chaos(
    folder: Path, *, seconds: float, seed: int, say: Say, count: int, least: dict[str, int]
) -> tuple[list[str], list[str]]:
    """Do one run; return what is wrong, and the ledger in words."""
    daemon, orders = Daemon(folder, desks=DESKS), plan(count, seed)
    sender = Sender(daemon, orders, seed=seed)
    run = Run(daemon, sender, seed=seed, say=say)
    try:
        await run.run(seconds, least)
    finally:
        await daemon.stop()
    with anyio.move_on_after(6.0):
        while daemon.left():  # noqa: ASYNC110 - a condition of other processes
            await anyio.sleep(0.05)
    wrong, ledger = reckon(daemon, sender, orders)
    return [*run.wrong, *wrong, *check_orphans(daemon.left())], [f"harm      {_counts(run.harms)}", *ledger]


def main() -> None:
    """Run, print the ledger, and exit 1 if it does not come out even."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.durable")
    parser.add_argument("--seconds", type=float, default=300.0, help="of harm, at least (default 300)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed, the same harm")
    parser.add_argument("--folder", type=Path, help="keep the files there (default: a folder that is deleted)")
    parser.add_argument("--tasks", type=int, default=12_000, help="to be done (default 12000)")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="callboard-chaos-") as made:
        folder = options.folder or Path(made)
        wrong, ledger = anyio.run(
            lambda: chaos(folder, seconds=options.seconds, seed=options.seed, say=say, count=options.tasks, least=LEAST)
        )
    print("\n".join(["", *ledger, "", *(wrong or ["the ledger comes out even"])]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
