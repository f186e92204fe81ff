"""One cell in the daemon's care: its process kept alive, its actors' addresses never without an answer."""

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import anyio

from callboard.actors import ActorSpec, Intensity, Letter, Restart, Row
from callboard.bus import Endpoint, NoticeBody
from callboard.clock import Clock
from callboard.errors import CallboardError, Detail
from callboard.guardian import Guardian

from .coroner import Coroner
from .incarnation import KILL_AFTER, End, Incarnation, Limits
from .process import CellOrder
from .records import Records
from .restart import Decision, Exit, decide_restart
from .understudy import Understudy

REAPED_WITHIN: Final = 5.0
AGAIN_AFTER: Final = 0.5
"""Seconds until an understudy that found no bus tries again."""
BY_HAND: Final = "held by hand"
CellState = Literal["starting", "up", "restarting", "held", "ended"]
MakeOrder = Callable[[str, int], CellOrder]


class Charge:
    """Keeps one cell. `keep` runs in a task of its own; the other methods are called by the daemon."""

    def __init__(
        self, name: str, specs: list[ActorSpec], *, endpoint: Endpoint, records: Records, guardian: Guardian,
        folder: Path, clock: Clock, make_order: MakeOrder,
    ) -> None:  # fmt: skip
        self.name, self.specs = name, specs
        self.state: CellState = "starting"
        self.epoch = 0
        self.restarts = 0
        self.started_at = clock.monotonic()
        self.life: Incarnation | None = None
        """The process that runs, if one does."""
        self.ended = anyio.Event()
        self.rows: dict[str, Row] = {}
        """The latest row of each actor, as its cell's beat said."""
        self.settled = anyio.Event()
        """Set when the cell is up, or held, for the first time."""
        homes = {spec.name: spec.cell for spec in specs}
        self.understudies = {
            spec.name: Understudy(endpoint, spec.name, open_door=spec.open, homes=homes) for spec in specs
        }
        self._endpoint, self._records, self._guardian, self._clock = endpoint, records, guardian, clock
        self._log, self._make_order = folder / "logs" / f"{name}.log", make_order
        self.coroner = Coroner(name, endpoint=endpoint, records=records, folder=folder / "flight", clock=clock)
        self.died_at: float | None = None
        """When its last process ended (monotonic seconds), until the next one has served a message."""
        self.held: set[str] = set()
        """Actors held by a person; a death of the process does not revive them."""
        self.why_held = ""
        """Why the whole cell is held; empty while it is not."""
        self._crashes: tuple[float, ...] = ()
        self._stop = anyio.Event()
        self._revived = anyio.Event()

    @property
    def pid(self) -> int:
        """The process id, or 0 when there is none."""
        return self.life.pid if self.life else 0

    @property
    def crashes(self) -> int:
        """Deaths that still count against the budget."""
        now = self._clock.monotonic()
        return sum(now - at < self.intensity.within for at in self._crashes)

    @property
    def restart_type(self) -> Restart:
        """The most demanding of its actors'."""
        kinds = {spec.restart for spec in self.specs}
        return "permanent" if "permanent" in kinds else "transient" if "transient" in kinds else "temporary"

    @property
    def intensity(self) -> Intensity:
        """The strictest of its actors'."""
        return min((spec.intensity for spec in self.specs), key=lambda intensity: intensity.most)

    @property
    def limits(self) -> Limits:
        """The most patient of its actors': one that thinks long must not be killed for its neighbour's haste."""
        healths = [spec.health for spec in self.specs]
        return Limits(
            silent_after=max(health.silent_after for health in healths),
            drain_for=max(health.drain_for for health in healths),
            memory_most=max(health.memory_mib for health in healths) << 20,
        )

    async def stand_in(self) -> None:
        """Let the understudies answer."""
        for name, understudy in self.understudies.items():
            understudy.why_held = BY_HAND if name in self.held else ""
            await understudy.take_over()

    async def keep(self) -> None:
        """Run the cell's process again and again until it is stopped; `ended` is set however this ends."""
        try:
            while not self._stop.is_set():
                end = await self._run_once()
                if not self._stop.is_set():
                    await self._after(end)
                elif end.code != 0:  # killed at the end of its time: who still waits for it must hear
                    await self._bury(end, blame=False)
                    await self._notify("down", f"cell {self.name} {end.why}")
        finally:
            self.state = "ended"
            self.ended.set()

    async def _run_once(self) -> End:
        self.epoch = await self._records.epochs.next(self.name)
        self.started_at = self._clock.monotonic()
        order = self._make_order(self.name, self.epoch)
        self.life = life = Incarnation(
            order, log=self._log, guardian=self._guardian, limits=self.limits, clock=self._clock
        )
        if self._stop.is_set():
            life.process.send(signal.SIGTERM)
        detail: Detail = {"pid": life.pid, "epoch": self.epoch}
        await self._records.add("cell-started", self.name, f"started as process {life.pid}", detail)
        await self._fence()
        end = await life.live()
        self.life = None
        return end

    async def _fence(self) -> None:
        """Tell all that from now on nothing is believed that an older process of this cell says."""
        try:
            self._endpoint.notify(NoticeBody(self.name, "fence", "", self.epoch, cell=self.name))
        except CallboardError as error:
            await self._records.add("notice-lost", self.name, f"fence: {error.text}", {"code": error.code})

    async def _after(self, end: End) -> None:
        """Answer for the dead, then decide."""
        self.state, self.died_at = "restarting", self._clock.monotonic()
        self._revived = anyio.Event()  # before anything is awaited: who revives from now on is heard
        await self._answer_for_dead(end)
        decision = self._decide(end.how)
        if decision.do == "restart":
            self.restarts += 1
            with anyio.move_on_after(decision.delay):
                await self._revived.wait()
        elif decision.do == "hold":
            await self._hold(f"{len(self._crashes)} crashes within {self.intensity.within:g} s, the last: {end.why}")
        else:
            await self._hold(f"{end.why}; restart = {self.restart_type!r}")

    async def _bury(self, end: End, *, blame: bool) -> None:
        """Answer what the dead process held, and record how it ended, with the evidence."""
        found = await self.coroner.examine(end, epoch=self.epoch, blame=blame)
        text = f"{end.why}; {found.story()}; its log: {self._log.name}"
        detail: Detail = {
            "code": end.code, "pid": end.pid, "verdict": end.verdict, "answered": found.answered, "lost": found.lost,
            "lost_ids": " ".join(item.id for item in found.lost_tells()),
            "in_hand": " ".join(item.id for item in found.in_hand()),
            "place": end.place, "stack": "\n".join(end.stack),
        }  # fmt: skip
        await self._records.add("cell-exited", self.name, text, detail)

    def _decide(self, exited: Exit) -> Decision:
        decision = decide_restart(
            self.restart_type,
            exited,
            crashes=self._crashes,
            intensity=self.intensity,
            now=self._clock.monotonic(),
            chance=random.random(),  # noqa: S311 - jitter
        )
        self._crashes = decision.crashes
        return decision

    async def _answer_for_dead(self, end: End) -> None:
        """First the understudies, then the dead one's debts, then the news; while the bus is away, again and again."""
        failed = buried = False
        while not self._stop.is_set():
            try:
                await self.stand_in()
                if not buried:
                    await self._bury(end, blame=end.how == "crashed")
                    buried = True
                self._tell_all("down", f"cell {self.name} {end.why}")
            except CallboardError as error:
                if not failed:
                    await self._records.add("stand-in-failed", self.name, error.text, {"code": error.code})
                failed = True
            else:
                return
            with anyio.move_on_after(AGAIN_AFTER):
                await self._stop.wait()

    async def _hold(self, why: str) -> None:
        self.state, self.why_held = "held", why
        for understudy in self.understudies.values():
            understudy.hold(why)
        self.settled.set()
        await self._notify("held", why)
        await self._records.add("cell-held", self.name, why)
        await self._revived.wait()
        self.state, self.why_held = "restarting", ""
        for name, understudy in self.understudies.items():
            understudy.why_held = BY_HAND if name in self.held else ""

    async def _notify(self, what: str, why: str) -> None:
        try:
            self._tell_all(what, why)
        except CallboardError as error:  # without a bus nobody hears it; the cell is kept all the same
            await self._records.add("notice-lost", self.name, f"{what}: {error.text}", {"code": error.code})

    def _tell_all(self, what: str, why: str) -> None:
        for spec in self.specs:
            self._endpoint.notify(NoticeBody(spec.name, what, why[:500], self.epoch))

    def revive(self) -> None:
        """End a hold or a backoff, with a fresh budget."""
        self._crashes = ()
        self._revived.set()

    def release(self, actor: str) -> None:
        """End a person's hold on `actor` while there is no process that knows of it."""
        self.held.discard(actor)
        self.understudies[actor].why_held = ""

    async def page(self, actor: str, *, begin: bool) -> tuple[list[Letter], bool]:
        """Hand over what was kept for an actor; with `begin`, the understudy leaves the address first."""
        understudy = self.understudies[actor]
        if begin:
            await understudy.give_back()
        return understudy.page()

    async def serves(self) -> None:
        """Take note that everything was handed over."""
        for name, understudy in self.understudies.items():
            if lost := understudy.lost:
                understudy.lost = 0
                text = f"{lost} told messages were refused while it was down: more than an understudy keeps"
                await self._records.add("messages-lost", name, text, {"count": lost})
        self.state = "up"
        if self.life is not None:
            self.life.ready.set()
        self.settled.set()

    async def recovered(self, actor: str) -> None:
        """Take note that the first real message since a death was served: only now the restart counts as done."""
        if self.died_at is not None:
            seconds, self.died_at = self._clock.monotonic() - self.died_at, None
            text = f"serves again: {actor} has handled a message, {seconds:.2f} s after the death"
            detail: Detail = {"seconds": round(seconds, 3), "epoch": self.epoch}
            await self._records.add("cell-recovered", self.name, text, detail)

    async def stop(self) -> None:
        """TERM, then KILL one second after the longest ``drain_for``; returns when the process has ended."""
        self._stop.set()
        self._revived.set()
        if self.life is not None:
            self.life.process.send(signal.SIGTERM)
        with anyio.move_on_after(max(spec.health.drain_for for spec in self.specs) + KILL_AFTER):
            await self._wait_ended()
        if self.life is not None:
            self.life.process.send(signal.SIGKILL)
        with anyio.move_on_after(REAPED_WITHIN):  # longer only if the system itself is stuck: the guardian goes on
            await self._wait_ended()

    async def _wait_ended(self) -> None:
        await self.ended.wait()
        if self.life is not None:  # the task that waited for it was cancelled
            await self.life.process.wait()
            self.life = None
