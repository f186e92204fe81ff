"""One life of a cell's process: started, watched from outside, condemned if it must be, and how it ended."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import msgspec

from callboard.actors import FlightReader, place_of
from callboard.clock import Clock
from callboard.guardian import Guardian

from .process import BUS_LOST, ESCALATED, CellOrder, CellProcess, describe, last_line
from .restart import Exit
from .stack_dump import dump_of
from .verdict import STOPPED, Signs, judge_cell
from .watch import Watch, pressure

READY_WITHIN: Final = 20.0
LOOK_EVERY: Final = 0.25
KILL_AFTER: Final = 1.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell's process is held to: the most patient of its actors' limits. Seconds; bytes."""

    silent_after: float
    drain_for: float
    memory_most: int


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How a life ended, and the evidence."""

    pid: int
    code: int
    how: Exit
    verdict: str = "crashed"
    why: str
    place: str = ""
    stack: list[str] = []


class Incarnation:
    """A cell's process from its start to its end; `live` is called once."""

    def __init__(
        self, order: CellOrder, *, log: Path, guardian: Guardian, limits: Limits, clock: Clock,
        drain: Callable[[], None], put_out: Callable[[], None],
    ) -> None:  # fmt: skip
        self._drain_it, self._put_out = drain, put_out
        self.epoch, self._order, self._limits, self._clock = order.epoch, order, limits, clock
        self.began = clock.monotonic()
        self.ready = anyio.Event()
        self.signs: Signs | None = None
        """What was seen of it last."""
        self.process, self._log = CellProcess(order, log, guardian), log
        self.given_up = ""
        """Why it gives its actors up, as it said itself."""
        self._told = anyio.Event()
        self._verdict, self._why = "", ""
        self._stack: list[str] = []

    @property
    def user(self) -> str:
        """The public key under which it is known at the server; empty if it shares a login."""
        known = self._order.access.credentials
        return known.public if known is not None else ""

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    async def live(self) -> End:
        """Watch the process until it has ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._kill_if_not_ready)
            tasks.start_soon(self._watch)
            tasks.start_soon(self._end_when_told)
            code = await self.process.wait()
            self._put_out()
            tasks.cancel_scope.cancel()
        return self._end(code)

    def end(self) -> None:
        """Let it finish what it has in hand and end: SIGTERM, then SIGKILL when its time is up."""
        self._told.set()

    def condemn(self, verdict: str, why: str, *, stack: list[str] | None = None) -> None:
        """Kill it for a reason; the first one counts. The server hears nothing more of it, whenever it dies."""
        if not self._verdict:
            self._verdict, self._why, self._stack = verdict, why, stack or []
        self.process.send(signal.SIGKILL)
        self._put_out()

    def _end(self, code: int) -> End:
        if self._verdict:
            place = place_of(self._stack) if self._stack else ""
            where = f"; it stood at {place}" if place else ""
            why = f"{self._verdict}: {self._why}{where}"
            return End(
                pid=self.pid, code=code, how="crashed", verdict=self._verdict, why=why, place=place, stack=self._stack
            )
        if self._told.is_set() and code <= 0:
            why = "told to stop" if code == 0 else f"told to stop, and {describe(code)}"
            return End(pid=self.pid, code=code, how="normal", verdict="stopped", why=why)
        if code == ESCALATED:
            why = f"{describe(code)}: {self.given_up or 'it did not say why'}"
            return End(pid=self.pid, code=code, how="crashed", verdict="escalated", why=why)
        how: Exit = "normal" if code == 0 else "bus-lost" if code == BUS_LOST else "crashed"
        said = f": {last_line(self._log)}" if code > 0 and not self.ready.is_set() else ""
        return End(pid=self.pid, code=code, how=how, why=f"{describe(code)}{said}")

    async def _kill_if_not_ready(self) -> None:
        with anyio.move_on_after(READY_WITHIN):
            await self.ready.wait()
            return
        stack = await dump_of(self.process.pidfd, Path(self._order.dump))
        self.condemn("not ready", f"not ready within {READY_WITHIN:g} s", stack=stack)

    async def _watch(self) -> None:
        watch = Watch(FlightReader(Path(self._order.flight)), pid=self.pid, epoch=self.epoch, clock=self._clock)
        while True:
            planned = self._clock.monotonic() + LOOK_EVERY
            await anyio.sleep(LOOK_EVERY)
            signs = watch.look(planned=planned)
            if signs is None:
                continue
            self.signs = signs
            limits = self._limits
            verdict = judge_cell(signs, silent_after=limits.silent_after, memory_most=limits.memory_most)
            if verdict.kind == "silent":
                stopped = signs.state in STOPPED  # it would not hear the question for its stack
                stack = [] if stopped else await dump_of(self.process.pidfd, Path(self._order.dump))
                self.condemn("silent", f"{verdict.why} (machine: {pressure()})", stack=stack)
            elif verdict.kind == "bloated":
                self._drain(verdict.why)

    def _drain(self, why: str) -> None:
        """Have it finish what it has in hand, hand back the rest and end: it will not be well again by itself."""
        if not self._verdict:
            self._verdict, self._why = "bloated", why
            self._drain_it()

    async def _end_when_told(self) -> None:
        await self._told.wait()
        await self._term_and_kill()

    async def _term_and_kill(self) -> None:
        self.process.send(signal.SIGTERM)
        await anyio.sleep(self._limits.drain_for + KILL_AFTER)
        self.process.send(signal.SIGKILL)
