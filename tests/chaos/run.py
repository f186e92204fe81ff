"""One chaos run: traffic and harm against a real fleet, then the reckoning. The same seed, the same harm.

The daemon runs here, each cell in a process of its own, over a real nats-server. Clients ask and tell without pause;
every second or so something terrible happens. In the end every agent must serve, and the ledger must come out even.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio

from callboard import ActorSpec, CallboardError, DeadlineExceeded, Fleet, Json
from callboard.actors import Health, Intensity
from callboard.bus import ActorDied, BusUnavailable
from callboard.supervisor.fleet import Isolation

from .agents import Book, Job, Worker
from .guest import Guest
from .harm import children, go_on, harm_server, spin
from .ledger import (
    Baseline,
    Sent,
    check_asks,
    check_baseline,
    check_guests,
    check_held,
    check_once,
    check_one_life,
    check_orphans,
    check_tells,
    lines_of,
)
from .wall import Wall, jumping

CELLS: Final = {"ant": "red", "bee": "red", "cat": "green", "dog": "green", "elk": "blue", "fox": "blue"}
"""Two agents in each of three cells."""
FROM_INSIDE: Final = (
    "crash every time",
    "block",
    "spin",
    "segfault",
    "exit",
    "raise",
    "crash",
    "bad start",
    "hang",
    "deaf",
    "grow",
)
FROM_OUTSIDE: Final = ("SIGKILL", "SIGSTOP", "server SIGKILL", "server SIGSTOP", "full machine", "clock jump")
HARMS: Final = (*FROM_INSIDE, *FROM_OUTSIDE)
TIMES: Final = {"grow": 2, "crash every time": 4}
"""How often a harm is asked for."""
LONG: Final = 120.0
"""Seconds from which on a run also has the server stand still for half a minute."""
UNTIRING: Final = Intensity(most=100, within=1.0)
ASK_WITHIN: Final = 60.0
GUEST_WITHIN: Final = 20.0
"""Longer than any mending takes; what a dying process had not read, its guest waits for in vain."""
CALM_WITHIN: Final = 60.0
PAUSE: Final = 2.5
LONG_PAUSE: Final = 30.0
"""Seconds for which the server stands still."""
DAY: Final = 86_400.0

Say = Callable[[str], None]


class Run:
    """What is sent and what is done in one run."""

    def __init__(self, fleet: Fleet, *, seed: int, say: Say, wall: Wall | None = None) -> None:
        self._fleet, self._say, self._wall = fleet, say, wall
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._number = 0
        self._ended = False
        self.asked: dict[str, Sent] = {}
        self.guests: list[Sent] = []
        self.told: list[Sent] = []
        self.uncertain: list[str] = []
        self.harms: Counter[str] = Counter()
        fleet._endpoint.on_uncertain(lambda _actor, ids, _why: self.uncertain.extend(ids))

    async def run(self, seconds: float, guest: Guest) -> None:
        """Send and harm for `seconds`, then wait until every agent serves."""
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(self._send)
            tasks.start_soon(self._send_as, guest)
            await self._harm_for(seconds)
            self._ended = True
        await self._wait_calm()

    # --- traffic

    def _name(self, actor: str) -> str:
        self._number += 1
        return f"{actor}:{self._number}"

    async def _send(self) -> None:
        while not self._ended:
            actor = self._random.choice(list(CELLS))
            if self._random.random() < 0.7:
                then = self._random.choice(["", "", *(other for other in CELLS if other > actor)])  # nobody in a circle
                await self.ask(actor, seconds=self._random.choice((0.0, 0.0, 0.0, 0.02)), then=then)
            else:
                await self._tell(actor)
            await anyio.sleep(self._random.uniform(0.0, 0.02))

    async def _send_as(self, guest: Guest) -> None:
        while not self._ended:
            actor = self._random.choice(list(CELLS))
            name = self._name(actor)
            self.guests.append(Sent(name, "", await guest.ask(actor, {"name": name})))
            await anyio.sleep(self._random.uniform(0.0, 0.02))

    async def ask(self, actor: str, *, harm: str = "", seconds: float = 0.0, then: str = "") -> str:
        """Ask for a job and note how that ended."""
        name = self._name(actor)
        self.asked[name] = Sent(name, "", "open")
        try:
            await self._fleet.ask(
                actor,
                Job(name=name, harm=harm, seconds=seconds, then=then),
                timeout=ASK_WITHIN,
            )
            outcome = "answered"
        except DeadlineExceeded:
            outcome = "deadline"
        except CallboardError as error:
            outcome = error.code
        self.asked[name] = Sent(name, "", outcome)
        return outcome

    async def _tell(self, actor: str) -> None:
        name = self._name(actor)
        try:
            self.told.append(Sent(name, await self._fleet.tell(actor, Job(name=name), timeout=ASK_WITHIN), "sent"))
        except CallboardError as error:
            self.told.append(Sent(name, "", error.code))

    # --- harm

    async def _harm_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        bag: list[str] = []
        harms = [*HARMS, "server pause"] if seconds >= LONG else HARMS
        async with anyio.create_task_group() as tasks:
            while time.monotonic() < end:
                bag = bag or self._random.sample(harms, len(harms))
                harm, actor = bag.pop(), self._random.choice(list(CELLS))
                self.harms[harm] += 1
                self._say(f"{harm} ({actor})")
                tasks.start_soon(self._do_harm, harm, actor)
                await anyio.sleep(self._random.uniform(0.5, 2.0))

    async def _do_harm(self, harm: str, actor: str) -> None:
        if harm in FROM_INSIDE:
            for _ in range(TIMES.get(harm, 1)):  # each with another content, or it would be quarantined
                await self.ask(actor, harm=harm.removesuffix(" every time"), seconds=self._number / 1000)
        elif harm == "full machine":
            await spin(3.0)
        elif harm == "clock jump":
            assert self._wall is not None
            self._wall.jump(self._random.uniform(-DAY, DAY))
        elif harm == "server pause":
            await harm_server(signal.SIGSTOP, LONG_PAUSE)
        elif harm.startswith("server"):
            await harm_server(getattr(signal, harm.split()[1]), PAUSE)
        else:
            await self._signal(actor, getattr(signal, harm))

    async def _signal(self, actor: str, number: signal.Signals) -> None:
        for row in await self.rows():
            if row["actor"] == actor and row["pid"]:
                with suppress(ProcessLookupError):  # another harm was faster
                    os.kill(row["pid"], number)
                await anyio.sleep(4.0)
                if number == signal.SIGSTOP:
                    go_on(row["pid"])

    async def rows(self) -> list[dict[str, Any]]:
        """Return what ``callboard ps`` shows."""
        found: list[dict[str, Any]] = (await self._inquire(Json(b'{"type":"ListActors"}', "ListActors")))["rows"]
        return found

    async def _inquire(self, query: Json) -> dict[str, Any]:
        """Ask the supervisor, again and again while the connection is cut: the harm is to the fleet, not to the run."""
        with anyio.fail_after(ASK_WITHIN):
            while True:
                try:
                    answer: dict[str, Any] = await self._fleet.ask("supervisor", query, timeout=ASK_WITHIN)
                except (BusUnavailable, ActorDied):  # cut off, or the daemon was: a question costs nothing
                    await anyio.sleep(0.1)
                else:
                    return answer

    async def events(self) -> list[dict[str, Any]]:
        """Return all that the supervisor recorded."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            query = Json(b'{"type":"ListEvents","limit":1000,"after":%d}' % after, "ListEvents")
            page = (await self._inquire(query))["events"]
            if not page:
                return found
            found += page

    async def _wait_calm(self) -> None:
        """Wait until each agent has answered, which it does after all that it was told before."""
        with anyio.move_on_after(CALM_WITHIN):
            for actor in CELLS:
                while await self.ask(actor) != "answered":  # noqa: ASYNC110 - asking is what is waited for
                    await anyio.sleep(0.1)
            return
        self._say(f"no calm within {CALM_WITHIN:g} s")  # the reckoning will say who does not serve


# --- the reckoning


def baseline() -> Baseline:
    """Return what this process, in which the daemon runs, holds."""
    return Baseline(threading.active_count(), len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - one look


async def reckon(run: Run, log: Path, before: Baseline) -> tuple[list[str], list[str]]:
    """Return what is wrong, and the ledger in words."""
    done, events = lines_of(await anyio.Path(log).read_text(encoding="ascii")), await run.events()
    exits = [event for event in events if event["kind"] == "cell-exited"]
    named = [*run.uncertain, *(name for event in exits for name in event["detail"]["lost_ids"].split())]
    failed = [event["detail"]["id"] for event in events if event["kind"] in ("handler-failed", "handler-stalled")]
    states = {row["actor"]: row["state"] for row in await run.rows()}
    wrong = [
        *check_asks(run.asked.values()), *check_guests(run.guests, done), *check_once(done),
        *check_tells(run.told, done, named, failed),
        *check_one_life(done, CELLS), *check_held(states), *check_baseline(before, baseline()),
    ]  # fmt: skip
    ledger = [
        f"harm      {', '.join(f'{count} {harm}' for harm, count in sorted(run.harms.items()))}",
        f"asked     {len(run.asked)}: {_counts(run.asked.values())}",
        f"guests    {len(run.guests)}: {_counts(run.guests)}",
        f"told      {len(run.told)}, of which {len(named)} are named as lost or in doubt",
        f"done      {len(done)} jobs, none twice" if not check_once(done) else "done      some twice",
        f"exits     {len(exits)}: {', '.join(sorted({event['detail']['verdict'] for event in exits}))}",
        f"holds     {before} before, {baseline()} after",
    ]
    return wrong, ledger


def _counts(sent: Iterable[Sent]) -> str:
    outcomes = Counter(each.outcome for each in sent)
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())


@asynccontextmanager
async def fleet_of(
    folder: Path, *, intensity: Intensity = UNTIRING, isolation: Isolation = "process"
) -> AsyncGenerator[tuple[Fleet, Path]]:
    """Run the fleet of a chaos run; yield it, and the file in which its agents write."""
    log = folder / "done.log"
    log.touch()
    specs = [
        ActorSpec(
            actor=Worker, name=actor, cell=cell, open=True, may=Worker.may, options=Book(log=str(log), name=actor),
            intensity=intensity,
            health=Health(silent_after=1.0, stalled_after=2.0, memory_mib=500, drain_for=2.0),
        )
        for actor, cell in CELLS.items()
    ]  # fmt: skip
    async with Fleet("chaos", specs, isolation=isolation, state=folder / "state") as fleet:
        yield fleet, log


def guest_of(folder: Path, *, within: float = GUEST_WITHIN) -> Guest:
    """Return a guest of the fleet that runs in `folder`."""
    return Guest(folder / "state", fleet="chaos", within=within)


async def chaos(folder: Path, *, seconds: float, seed: int, say: Say) -> tuple[list[str], list[str]]:
    """Do one run; return what is wrong, and the ledger in words."""
    others = set(children(os.getpid()))  # of tests before this one
    with jumping(folder) as wall:
        async with fleet_of(folder) as (fleet, log), guest_of(folder) as guest:
            run = Run(fleet, seed=seed, say=say, wall=wall)
            for actor in CELLS:
                await run.ask(actor)
            before = baseline()
            await run.run(seconds, guest)
            wrong, ledger = await reckon(run, log, before)
    return [*wrong, *check_orphans(set(children(os.getpid())) - others)], ledger
