"""A cell: the actors that share one event loop, kept alive one by one.

Each replica is a child of its own (one_for_one); the crashes of an actor's replicas count against one budget. A cell
lives in a process of its own under the daemon, or inside a Python program under :class:`~callboard.Fleet`.
"""

import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.actors import (
    NO_FLIGHT,
    Actor,
    ActorSpec,
    ActorStopped,
    BadActor,
    Crashed,
    Discovery,
    Flight,
    Grant,
    Host,
    InHand,
    Letter,
    PermissionDenied,
    Replica,
    Row,
    spec_of,
    stack_of,
)
from callboard.actors import VERBS as GRANT_VERBS
from callboard.background import background
from callboard.bus import Endpoint, NoSuchActor, NoticeBody
from callboard.clock import Clock
from callboard.errors import CallboardError, Detail
from callboard.store import WorkingMemory

from .beat import Beats
from .files import Files, OpenFile
from .reserved import is_reserved
from .restart import decide_restart
from .rounds import Rounds

Report = Callable[[str, str, str, Detail], None]


class Upward(Protocol):
    """What a cell can tell the daemon that keeps it, without waiting."""

    def confine(self, actor: str, letter: Letter, digest: str, history: list[str]) -> None:
        """Hand over a message that failed too often, and what was said each time."""
        ...

    def wedged(self, host: Host, hand: InHand) -> None:
        """Say that a handler goes on though it was stopped: only the end of the process ends it."""
        ...

    def served(self, actor: str) -> None:
        """Say that the first real message since the start was handled."""
        ...


_CHILDREN_MOST = 10_000
_END_WITHIN = 2.0
"""Seconds that handlers have to clean up after they were cancelled."""
_ENDS = frozenset({"down", "crashed", "held", "ended"})


class Cell:
    """Hosts actors. Made by :meth:`Cell.running`."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        state: Path,
        epoch: int,
        homes: Mapping[str, str],
        clock: Clock,
        report: Report,
        flight: Flight = NO_FLIGHT,
        upward: Upward | None = None,
    ) -> None:
        self.endpoint, self.clock, self.homes, self.flight = endpoint, clock, homes, flight
        self.hosts: dict[str, Host] = {}
        self._state, self._epoch, self._sink, self._upward = state, epoch, report, upward
        self.beats = Beats(endpoint.bus, fleet=endpoint.fleet, cell=endpoint.cell, epoch=epoch)
        self._rounds = Rounds(self.hosts, flight, self.beats, wedged=self._wedged, served=self._served)
        self._tasks: TaskGroup
        self._files: Files
        self._crashes: dict[str, tuple[float, ...]] = {}
        self._scopes: dict[str, set[anyio.CancelScope]] = {}
        self._pauses: dict[str, set[anyio.CancelScope]] = {}
        self._turns: dict[str, object] = {}
        self._ended = anyio.Event()
        endpoint.on_notice(self._on_notice)

    # --- services to hosts

    def report(self, kind: str, subject: str, text: str, **detail: str | int | float | bool | None) -> None:
        """Hand an event to whoever records them."""
        self._sink(kind, subject, text, detail)

    def quarantine(self, actor: str, letter: Letter, digest: str, history: list[str]) -> None:
        """Hand a message that failed too often to who keeps such."""
        if self._upward is not None:
            self._upward.confine(actor, letter, digest, history)
            return
        kind = letter.envelope.type
        text = f"{kind} failed {len(history)} times and is refused from now on: {history[-1]}"
        self.report("message-quarantined", actor, text, digest=digest, id=letter.envelope.id, type=kind)

    def _wedged(self, host: Host, hand: InHand) -> None:
        if not hand.wedged:
            hand.wedged = True
            text = f"{hand.letter.envelope.type} goes on though it was stopped: {hand.stalled}"
            self.report("handler-wedged", host.name, text, stack="\n".join(stack_of(hand.handler)))
            if self._upward is not None:
                self._upward.wedged(host, hand)

    def _served(self, actor: str) -> None:
        if self._upward is not None:
            self._upward.served(actor)

    async def memory_of(self, actor: str) -> WorkingMemory:
        """Return the working memory of one of our actors; its file is opened once and stays ours until it ends."""
        if actor not in self.hosts:
            raise ActorStopped(f"{actor} has ended, and its working memory is closed", actor=actor)
        return await self._files.memory_of(actor)

    async def spawn(self, parent: Host, actor: type[Actor], *, name: str, may: Grant | None) -> str:
        """Start a child of `parent`; the same again is no change."""
        known = self.hosts.get(name)
        if known is not None and known.parent == parent.name and known.spec.actor is actor:
            return name
        if known is not None or name in self.homes or is_reserved(name):
            raise BadActor(f"{parent.name} cannot spawn {name!r}: the name is taken", actor=parent.name)
        if len(self.hosts) >= _CHILDREN_MOST:
            raise BadActor(f"cell {self.endpoint.cell} has {_CHILDREN_MOST} actors: the limit", cell=self.endpoint.cell)
        granted = actor.may if may is None else may
        _check_subset(parent, name, granted)
        spec = msgspec.structs.replace(spec_of(actor, cell=self.endpoint.cell), name=name, may=granted)
        await self.add(spec, parent=parent.name)
        return name

    # --- keeping them alive

    async def add(self, spec: ActorSpec, *, parent: str = "", handover: bool = False) -> Host:
        """Open an actor's address and keep its replicas alive from now on."""
        host = Host(spec, self, parent=parent)
        if handover:
            host.wait_for_handover()
        self.hosts[spec.name] = host  # before the first await: the name is taken from now on
        try:
            await host.open()
        except BaseException:
            del self.hosts[spec.name]
            raise
        self._begin(host)
        return host

    def _begin(self, host: Host) -> None:
        host.state = "starting"
        turn = self._turns[host.name] = object()
        for _ in range(host.spec.replicas):
            self._tasks.start_soon(self._keep, host, turn)

    async def _keep(self, host: Host, turn: object) -> None:
        """Run one replica again and again, until it ended or the actor is held; a revival begins another turn."""
        while self._goes_on(host, turn):
            why = await self._run(host)
            if not self._goes_on(host, turn):
                if why is not None:
                    self.report("actor-crashed", host.name, why)
                break
            if why is None:  # restarted by hand
                host.restarts += 1
                continue
            decision = decide_restart(
                host.spec.restart,
                "crashed",
                crashes=self._crashes.get(host.name, ()),
                intensity=host.spec.intensity,
                now=self.clock.monotonic(),
                chance=random.random(),  # noqa: S311 - jitter
            )
            self._crashes[host.name] = decision.crashes
            self._say_down(host, why)
            if decision.do == "hold":
                self.hold(
                    host.name,
                    why=f"{len(decision.crashes)} crashes within {host.spec.intensity.within:g} s: {why}",
                )
                break
            if decision.do == "end":
                self._end(host, why)
                break
            host.restarts += 1
            host.state = "restarting"
            await self._pause(host, decision.delay)

    def _goes_on(self, host: Host, turn: object) -> bool:
        """Return whether the replicas of this turn are to run: not once it is held, drained or ended."""
        return not host.mailbox.closed and self._turns.get(host.name) is turn

    async def _pause(self, host: Host, seconds: float) -> None:
        """Wait before the next start; a person's hand cuts it short."""
        pauses = self._pauses.setdefault(host.name, set())
        with anyio.CancelScope() as scope:
            pauses.add(scope)
            try:
                await self.clock.sleep(seconds)
            finally:
                pauses.discard(scope)

    async def _run(self, host: Host) -> str | None:
        """Run one replica to its end; return why it crashed, or None if it was told to end or to start again."""
        scopes = self._scopes.setdefault(host.name, set())
        with anyio.CancelScope() as scope:
            scopes.add(scope)
            try:
                await Replica(host).run()
            except Crashed as crash:
                return str(crash)
            finally:
                scopes.discard(scope)
                self._ended.set()
        return None

    def _interrupt(self, actor: str) -> None:
        for scope in [*self._scopes.get(actor, ()), *self._pauses.get(actor, ())]:
            scope.cancel()

    def _say_down(self, host: Host, why: str) -> None:
        self.report("actor-crashed", host.name, why)
        self._end_children(host, "crashed")
        self._notify(NoticeBody(host.name, "crashed", why[:500], self._epoch))

    def _say_gap(self) -> None:
        """Tell all who speak to our actors that we were cut off: what they sent meanwhile may be lost."""
        for host in list(self.hosts.values()):
            self._notify(
                NoticeBody(host.name, "gap", f"cell {self.endpoint.cell} was cut off from the bus", self._epoch)
            )

    def _notify(self, notice: NoticeBody) -> None:
        try:
            self.endpoint.notify(notice)
        except CallboardError as error:  # without a bus nobody hears it; the actors go on all the same
            self.report("notice-lost", notice.actor, f"{notice.what}: {error.text}", code=error.code)

    def _on_notice(self, notice: NoticeBody) -> None:
        if notice.what in _ENDS:
            for host in list(self.hosts.values()):
                host.saw_down(notice.actor, notice.why)

    def _end_children(self, parent: Host, what: str) -> None:
        """End the children before their parent starts again: it will spawn them anew, under the same names."""
        for child in [host for host in self.hosts.values() if host.parent == parent.name]:
            self._end(child, f"its parent {parent.name} {what}")

    def _end(self, host: Host, why: str) -> None:
        """Take an actor away for good. Its name is free at once; what it owes is answered soon after."""
        if self.hosts.get(host.name) is host:
            del self.hosts[host.name]
            self._turns.pop(host.name, None)
            self._crashes.pop(host.name, None)
            self._end_children(host, "ended")
            runs, pauses = self._scopes.pop(host.name, set()), self._pauses.pop(host.name, set())
            self._tasks.start_soon(self._close, host, runs, pauses, self._files.leave(host.name), why)

    async def _close(
        self, host: Host, runs: set[anyio.CancelScope], pauses: set[anyio.CancelScope], file: OpenFile | None, why: str
    ) -> None:
        await host.close(why)
        for scope in [*runs, *pauses]:
            scope.cancel()
        self.report("actor-ended", host.name, why)
        self._notify(NoticeBody(host.name, "ended", why[:500], self._epoch))
        if file is not None:
            with anyio.move_on_after(_END_WITHIN):
                await self._wait_all_ended(runs)
            await file.close()

    # --- a person's hand

    def _host(self, actor: str) -> Host:
        host = self.hosts.get(actor)
        if host is None:
            raise NoSuchActor(f"{actor!r} does not live in cell {self.endpoint.cell!r}", actor=actor)
        return host

    def restart(self, actor: str) -> None:
        """Stop the replicas of `actor` and start them again at once, not counted as a crash."""
        host = self._host(actor)
        if host.held:
            self.revive(actor)
            return
        self.report("actor-restarted", actor, "restarted by hand")
        self._notify(NoticeBody(actor, "crashed", "restarted by hand", self._epoch))
        self._end_children(host, "was restarted")
        self._interrupt(actor)

    def hold(self, actor: str, *, why: str) -> None:
        """Stop `actor` and refuse its messages until it is revived."""
        host = self._host(actor)
        host.hold(why)
        self._end_children(host, "is held")
        self._interrupt(actor)
        self.report("actor-held", actor, why)
        self._notify(NoticeBody(actor, "held", why[:500], self._epoch))

    def revive(self, actor: str) -> None:
        """End a hold, with a fresh budget."""
        host = self._host(actor)
        if not host.held:
            return
        self._crashes.pop(actor, None)
        host.revive()
        self._begin(host)
        self.report("actor-revived", actor, "revived by hand")
        self._notify(NoticeBody(actor, "up", "", self._epoch))

    def pardon(self, actor: str, digest: str) -> None:
        """Refuse a message's content no longer."""
        if (host := self.hosts.get(actor)) is not None:
            host.quarantined.pop(digest, None)

    def rows(self) -> list[Row]:
        """Return how it stands with each actor."""
        return [host.row() for host in self.hosts.values()]

    async def drain(self) -> None:
        """Leave all addresses, let what is in hand end within each actor's ``drain_for``, answer the rest."""
        async with anyio.create_task_group() as tasks:
            for host in reversed(list(self.hosts.values())):
                tasks.start_soon(self._drain, host)

    async def _drain(self, host: Host) -> None:
        host.state = "draining"
        await host.leave()
        host.answer_all(ActorStopped(f"{host.name} did not come to this message: the fleet stops", actor=host.name))
        runs = self._scopes.get(host.name, set())
        with anyio.move_on_after(host.spec.health.drain_for):
            await self._wait_all_ended(runs)
        self._interrupt(host.name)
        with anyio.move_on_after(_END_WITHIN):
            await self._wait_all_ended(runs)
        host.state = "stopped"

    async def _wait_all_ended(self, runs: set[anyio.CancelScope]) -> None:
        """Wait until each of the replicas has taken its scope out of `runs`."""
        while runs:
            if self._ended.is_set():  # never replace one that somebody waits for
                self._ended = anyio.Event()
            await self._ended.wait()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Cell", None]:
        """Own the tasks of the cell; actors end before the files they write to."""
        async with AsyncExitStack() as stack:
            files = await stack.enter_async_context(background())
            self._files = Files(self._state, epoch=self._epoch, clock=self.clock, tasks=files)
            self._tasks = await stack.enter_async_context(background())
            self._tasks.start_soon(self._rounds.run)
            self.endpoint.bus.on_gap(self._say_gap)
            await stack.enter_async_context(Discovery(self.endpoint, self.hosts))
            yield self


def _check_subset(parent: Host, name: str, granted: Grant) -> None:
    for verb in GRANT_VERBS:
        for target in getattr(granted, verb):
            if not parent.grant.allows(verb, target):
                raise PermissionDenied(
                    f"{parent.name} cannot let {name} {verb} {target!r}: it may not do so itself",
                    actor=parent.name,
                )
