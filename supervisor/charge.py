"""One cell in the daemon's care: one life of its process at a time, its actors' addresses never without an answer.

When it is to live, to stop or to be held, its group says. At a death the order is: the understudies listen, the debts
of the dead are answered, all hear of it, and then the group is told.
"""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Literal

import anyio

from callboard.actors import ActorSpec, Intensity, Letter, Restart, Row
from callboard.bus import Census, Endpoint, NoticeBody, pages_of
from callboard.clock import Clock
from callboard.errors import CallboardError, Detail
from callboard.guardian import Guardian
from callboard.store import StoreError

from .access import Access
from .coroner import Coroner
from .errors import NotUp
from .incarnation import KILL_AFTER, End, Incarnation, Limits
from .plan import Event, Exited, Served
from .process import CellOrder
from .records import Records
from .understudy import recast, stand_ins

REAPED_WITHIN: Final = 5.0
AGAIN_AFTER: Final = 0.5
"""Seconds until an understudy that found no bus tries again."""
STAND_IN_WITHIN: Final = 2.0
"""Seconds in which the understudies are at their places before a process is told to stop."""
BY_HAND: Final = "held by hand"
CellState = Literal["starting", "up", "restarting", "held", "ended"]
MakeOrder = Callable[[str, int], CellOrder]


class Charge:
    """Has one cell live. `keep` runs in a task of its own; what it does, `start`, `end_life` and `hold` say."""

    def __init__(
        self, name: str, specs: list[ActorSpec], *, endpoint: Endpoint, records: Records, guardian: Guardian,
        folder: Path, clock: Clock, make_order: MakeOrder, revoke: Callable[[Access], None], census: Census,
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
        self.tell: Callable[[Event], object] = _nobody
        """Who is told what becomes of it: the keeper of its group."""
        self.understudies = stand_ins(specs, endpoint)
        self._endpoint, self._records, self._guardian, self._clock = endpoint, records, guardian, clock
        self._log, self._census, self._revoke = folder / "logs" / f"{name}.log", census, revoke
        self._make_order = make_order
        self.coroner = Coroner(name, endpoint=endpoint, records=records, folder=folder / "flight", clock=clock)
        self.died_at: float | None = None
        """When its last process ended (monotonic seconds), until the next one has served a message."""
        self.held = {spec.name for spec in specs} & records.held
        """Actors held by a person; neither a death of the process nor one of the daemon revives them."""
        self.why_held = ""
        """Why the whole cell is held; empty while it is not."""
        self._next: Literal["", "start", "hold"] = ""
        self._called = anyio.Event()
        self._told = anyio.Event()
        self._stop = anyio.Event()
        self._last = ""
        """How its last process ended."""
        self._served_by = ""

    @property
    def pid(self) -> int:
        """The process id, or 0 when there is none."""
        return self.life.pid if self.life else 0

    @property
    def restart_type(self) -> Restart:
        """The most demanding of its actors'."""
        kinds = {spec.restart for spec in self.specs}
        return "permanent" if "permanent" in kinds else "transient" if "transient" in kinds else "temporary"

    @property
    def intensity(self) -> Intensity:
        """The strictest of its actors': the fewest crashes in the longest time."""
        return min((spec.intensity for spec in self.specs), key=lambda each: each.most / each.within)

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
            understudy.why_held = self._why_refused(name)
            await understudy.take_over()

    def _why_refused(self, actor: str) -> str:
        return self.why_held or (BY_HAND if actor in self.held else "")

    # --- what its group orders

    def forgive(self) -> None:
        """Refuse no messages any more, but those of actors that a person holds; what comes waits for the next life."""
        self.why_held = ""
        for name, understudy in self.understudies.items():
            understudy.why_held = self._why_refused(name)
        if self.state == "held":
            self.state = "restarting"

    def start(self) -> None:
        """Begin a life. Exited is told when it is over and answered for."""
        self.forgive()
        self._told = anyio.Event()
        self._call("start")

    def end_life(self) -> None:
        """Let its process finish what it has in hand, and end; the understudies keep what comes meanwhile."""
        self._told.set()
        if self.state == "up":
            self.state = "restarting"

    def hold(self, why: str) -> None:
        """Refuse all messages until the next start."""
        self.state, self.why_held = "held", why
        for understudy in self.understudies.values():
            understudy.hold(why)
        self.settled.set()
        if self._next == "start":  # that life is over before it began: its group waits for the word
            self.tell(Exited(self.name, "normal"))
        self._call("hold")

    def leave_be(self) -> None:
        """Take note that it will not come back by itself: it ended well, or is temporary."""
        self.hold(f"{self._last}; restart = {self.restart_type!r}")

    def _call(self, order: Literal["start", "hold"]) -> None:
        self._next = order
        self._called.set()

    # --- what is done

    async def keep(self) -> None:
        """Do what is ordered until it is stopped; `ended` is set however this ends."""
        try:
            while order := await self._ordered():
                if order == "start":
                    await self._live()
                elif not self._stop.is_set():
                    await self._say_held()
        finally:
            self.state = "ended"
            self.ended.set()

    async def _ordered(self) -> Literal["", "start", "hold"]:
        while not self._next and not self._stop.is_set():
            self._called = anyio.Event()
            await self._called.wait()
        order, self._next = self._next, ""
        return order

    async def _live(self) -> None:
        """Live one life, from its start to the moment when the group is told of its end."""
        epoch = 0 if self._stop.is_set() else await self._next_epoch()
        if not epoch:
            self.tell(Exited(self.name, "normal"))
            return
        self.epoch = epoch
        self.started_at = self._clock.monotonic()
        end = await self._run_once()
        self._last = end.why
        if not self._stop.is_set():
            self.state = "held" if self.why_held else "restarting"
            self.died_at = self._clock.monotonic()
            await self._answer_for_dead(end)
        elif end.code != 0:  # killed at the end of its time: who still waits for it must hear
            await self._answer_once(end)
        else:
            await self._records.add("cell-exited", self.name, end.why, {"code": end.code, "pid": end.pid})
        self.tell(Exited(self.name, end.how, end.why))
        self.restarts += not self.why_held and not self._stop.is_set()

    async def _next_epoch(self) -> int:
        """Return the next life's epoch once it is on the disk, however long that takes; 0 if it is stopped before."""
        while not self._stop.is_set():
            try:
                return await self._records.epochs.next(self.name)
            except StoreError as error:
                await self._records.add("not-started", self.name, error.text, {"code": error.code})
            with anyio.move_on_after(AGAIN_AFTER):
                await self._stop.wait()
        return 0

    async def _run_once(self) -> End:
        order = self._make_order(self.name, self.epoch)
        try:
            self.life = life = Incarnation(
                order, log=self._log, guardian=self._guardian, limits=self.limits, clock=self._clock,
                drain=self._told.set, put_out=partial(self._revoke, order.access),
            )  # fmt: skip
        except (OSError, CallboardError) as error:  # no room for another process: a start that fails is a crash
            self._revoke(order.access)
            return End(pid=0, code=1, how="crashed", verdict="not started", why=f"it cannot be started: {error}")
        detail: Detail = {"pid": life.pid, "epoch": self.epoch}
        await self._records.add("cell-started", self.name, f"started as process {life.pid}", detail)
        await self._fence()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_when_told, life)
            end = await life.live()
            tasks.cancel_scope.cancel()
        self.life = None
        return end

    async def _end_when_told(self, life: Incarnation) -> None:
        await self._told.wait()
        if not self._stop.is_set():
            try:
                with anyio.move_on_after(STAND_IN_WITHIN):
                    await self.stand_in()
            except CallboardError as error:
                await self._records.add("stand-in-failed", self.name, error.text, {"code": error.code})
        life.end()

    async def _fence(self) -> None:
        """Tell all that from now on nothing is believed that an older process of this cell says."""
        try:
            self._endpoint.notify(NoticeBody(self.name, "fence", "", self.epoch, cell=self.name))
        except CallboardError as error:
            await self._records.add("notice-lost", self.name, f"fence: {error.text}", {"code": error.code})

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

    async def _answer_once(self, end: End) -> None:
        try:
            await self._bury(end, blame=False)
        except CallboardError as error:
            await self._records.add("notice-lost", self.name, f"down: {error.text}", {"code": error.code})
        await self._attempt("down", lambda: self._say_down(f"cell {self.name} {end.why}"))

    async def _answer_for_dead(self, end: End) -> None:
        """First the understudies, then the dead one's debts, then the news; while the bus is away, again and again."""
        failed = buried = False
        while not self._stop.is_set():
            try:
                await self.stand_in()
                if not buried:
                    await self._bury(end, blame=end.how == "crashed")
                    buried = True
                self._say_down(f"cell {self.name} {end.why}")
            except CallboardError as error:
                if not failed:
                    await self._records.add("stand-in-failed", self.name, error.text, {"code": error.code})
                failed = True
            else:
                return
            with anyio.move_on_after(AGAIN_AFTER):
                await self._stop.wait()

    async def _say_held(self) -> None:
        why = self.why_held
        await self._attempt("held", lambda: self._tell_all("held", why))
        await self._records.add("cell-held", self.name, why)

    async def _attempt(self, what: str, say: Callable[[], None]) -> None:
        try:
            say()
        except CallboardError as error:  # without a bus nobody hears it; the cell is kept all the same
            await self._records.add("notice-lost", self.name, f"{what}: {error.text}", {"code": error.code})

    def _say_down(self, why: str) -> None:
        """Tell all who died: the actors of the fleet file, who come again, and those that were spawned."""
        self._tell_all("down", why)
        for page in pages_of(self._census.of(self.name), max_payload=self._endpoint.bus.max_payload):
            self._endpoint.notify(NoticeBody("", "down", why[:500], self.epoch, more=page))
        self._census.bury(self.name, self.epoch)

    def _tell_all(self, what: str, why: str) -> None:
        for spec in self.specs:
            self._endpoint.notify(NoticeBody(spec.name, what, why[:500], self.epoch))

    async def hold_by_hand(self, actor: str) -> None:
        """Remember that a person holds `actor`, also for the next daemon; raises StoreError, and then nothing is so."""
        await self._records.holds.add(actor)
        self.held.add(actor)
        understudy = self.understudies[actor]
        if understudy.listens:
            understudy.hold(self._why_refused(actor))

    async def release(self, actor: str) -> None:
        """End a person's hold on `actor`; raises StoreError, and then it goes on."""
        await self._records.holds.discard(actor)
        self.held.discard(actor)
        self.understudies[actor].why_held = self._why_refused(actor)

    def end_start(self) -> None:
        """End a process that has not come up: it was told who is held before somebody was."""
        if self.life is not None and not self.life.ready.is_set():
            self.life.condemn("ended", "an actor was held by hand while it started")

    async def page(self, actor: str, *, begin: bool) -> tuple[list[Letter], bool]:
        """Hand over what was kept for an actor; with `begin`, the understudy leaves the address first."""
        understudy = self.understudies[actor]
        if begin:
            await understudy.give_back()
        return understudy.page()

    def take_back(self, actor: str, letters: list[Letter]) -> None:
        """Keep what an actor did not come to before its process was told to stop; raise NotUp if it stays down."""
        if self._stop.is_set() or self.why_held or not self._told.is_set():
            raise NotUp(f"cell {self.name} is not to start again", cell=self.name)
        self.understudies[actor].take_back(letters)

    async def serves(self) -> None:
        """Take note that everything was handed over."""
        for name, understudy in self.understudies.items():
            if lost := understudy.lost:
                understudy.lost = 0
                text = f"{lost} told messages were refused while it was down: more than an understudy keeps"
                await self._records.add("messages-lost", name, text, {"count": lost})
        if not self.why_held:  # it is held as it starts, and about to be stopped
            self.state = "up"
        if self.life is not None:
            self.life.ready.set()
        self.settled.set()

    def serves_again(self, actor: str) -> None:
        """Take note that the first real message since the start was served: only now a restart counts as done."""
        self._served_by = actor
        self.tell(Served(self.name))

    def recovery(self) -> tuple[str, Detail]:
        """Return the story of its last recovery."""
        died_at = self._clock.monotonic() if self.died_at is None else self.died_at
        seconds, self.died_at = self._clock.monotonic() - died_at, None
        text = f"serves again: {self._served_by} has handled a message, {seconds:.2f} s after the death"
        return text, {"seconds": round(seconds, 3), "epoch": self.epoch}

    async def recast(self, specs: list[ActorSpec]) -> None:
        """Keep other actors from the next life on; those that are not among them answer nobody any more."""
        self.specs = specs
        self.understudies = await recast(self.understudies, specs, self._endpoint)

    async def leave(self) -> None:
        """Answer at none of its addresses any more, and begin no other life."""
        self.close()
        await recast(self.understudies, (), self._endpoint)
        self.state = "ended"

    def close(self) -> None:
        """Begin no other life, and owe the dead no more than a word: the daemon stops."""
        self._stop.set()
        self._called.set()

    async def stop(self) -> None:
        """TERM, then KILL one second after the longest ``drain_for``; returns when the process has ended."""
        self.close()
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


def _nobody(_event: Event) -> None:
    """Hear what is told before a group listens."""
