"""A cell: the actors that share one event loop, kept alive as its plan says, one by one where it says nothing.

A cell lives in a process of its own under the daemon, or inside a Python program under :class:`~callboard.Fleet`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from callboard.actors import (
    NO_FLIGHT,
    Actor,
    ActorSpec,
    ActorStopped,
    Discovery,
    Flight,
    Grant,
    Host,
    InHand,
    Letter,
    Row,
    Work,
    stack_of,
)
from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import LlmConfig
from callboard.background import background
from callboard.bus import Endpoint, NoSuchActor, NoticeBody, Registry, in_cell, pages_of
from callboard.clock import Clock
from callboard.errors import CallboardError, Detail
from callboard.printable import printable
from callboard.store import ActorFile, Outcome, Touched, WorkingMemory

from .above import Upward
from .autopsy import NAMED_MOST
from .beat import Beats
from .family import Family
from .files import Files, OpenFile
from .formation import CellTable
from .inspection import Inspected, inspect
from .keeper import Keeper
from .memory.memories import Memories
from .minds import CellMinds
from .office.furnishing import furnished
from .plan import Begin, Held, Restarted, Revived
from .pool import Life, end_within
from .reserved import is_reserved
from .rounds import Rounds
from .troupe import Troupe

if TYPE_CHECKING:
    from callboard.actors.llm import Minds
    from callboard.store.episodes import EpisodeFile

Report = Callable[[str, str, str, Detail], None]


_ENDS = frozenset({"down", "crashed", "held", "ended"})


class Cell:
    """Hosts actors. Made by :meth:`Cell.running`."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        state: Path,
        epoch: int,
        homes: dict[str, str],
        clock: Clock,
        report: Report,
        flight: Flight = NO_FLIGHT,
        upward: Upward | None = None,
        memory: EmbedderTable = EmbedderTable(),  # noqa: B008 - frozen
        llm: LlmConfig = LlmConfig(),  # noqa: B008 - the same
        home: Path = Path(),
    ) -> None:
        self.endpoint, self.clock, self.flight = endpoint, clock, flight
        self.homes: Mapping[str, str] = homes
        self._homes = endpoint.homes = homes
        self.hosts: dict[str, Host] = {}
        self.busy: dict[str, Work] = {}
        """Those that have something in hand."""
        self.registry = Registry(endpoint)
        self.node: Keeper
        """Keeps the actors of the fleet file, from :meth:`open` on."""
        self.state, self.epoch, self._sink, self._upward = state, epoch, report, upward
        self.memories: Memories
        """What its actors remember for long."""
        self._embedder, self._llm, self._home = memory, llm, home
        self.thinking: CellMinds
        self.elsewhere: Callable[[Outcome], Awaitable[Touched]] | None = upward.pass_outcome if upward else None
        """Tells the actors of other cells how a message turned out; raises OutcomeUnheard."""
        self.beats = Beats(endpoint.bus, fleet=endpoint.fleet, cell=endpoint.cell, epoch=epoch)
        self._family = Family(self.hosts, homes, endpoint.cell)
        self._tasks: TaskGroup
        self._files: Files[ActorFile]
        self._troupe: Troupe
        endpoint.on_notice(self._on_notice)
        endpoint.on_uncertain(self._on_uncertain)

    # --- services to hosts

    def report(self, kind: str, subject: str, text: str, **detail: str | int | float | bool | None) -> None:
        """Hand an event to whoever records them."""
        plain = {name: printable(value) if isinstance(value, str) else value for name, value in detail.items()}
        self._sink(kind, subject, printable(text), plain)

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
            text = f"{hand.letter.envelope.type} goes on though it was stopped: {hand.stalled or hand.gone}"
            self.report("handler-wedged", host.name, text, stack="\n".join(stack_of(hand.handler)))
            if self._upward is not None:
                self._upward.wedged(host, hand)

    def _served(self, actor: str) -> None:
        if self._upward is not None:
            self._upward.served(actor)

    async def memory_of(self, actor: str) -> WorkingMemory:
        """Return the working memory of one of our actors."""
        return (await self.file_of(actor)).memory

    def minds(self) -> "Minds":
        """Return what our actors share when they ask models."""
        return self.thinking.minds()

    async def episodes_of(self, actor: str) -> "EpisodeFile":
        """Return the long-term memory of one of our actors; it is opened once and stays ours until the actor ends."""
        if actor not in self.hosts:
            raise ActorStopped(f"{actor} has ended, and its long-term memory is closed", actor=actor)
        return await self.memories.of(actor)

    async def say_outcome(self, outcome: Outcome) -> Touched:
        """Tell all whom it concerns how a message turned out; raises OutcomeUnheard."""
        here = await self.hear_outcome(outcome)
        return here if self.elsewhere is None else here + await self.elsewhere(outcome)

    async def hear_outcome(self, outcome: Outcome) -> Touched:
        """Let our actors take in how a message turned out."""
        await self.thinking.learn_outcome(outcome)
        return await self.memories.hear(outcome, list(self.hosts))

    def actors(self, which: str = "") -> list[str]:
        """Return `which`, or all that are not the runtime's."""
        return [which] if which else [name for name in self.hosts if not is_reserved(name)]

    async def file_of(self, actor: str) -> ActorFile:
        """Return the file of one of our actors; it is opened once and stays ours until the actor ends."""
        if actor not in self.hosts:
            raise ActorStopped(f"{actor} has ended, and its working memory is closed", actor=actor)
        return await self._files.file_of(actor)

    async def spawn(self, parent: Host, actor: type[Actor], *, name: str, may: Grant | None) -> str:
        """Start a child of `parent`; the same again is no change."""
        if self._troupe.ends:
            raise ActorStopped(f"{parent.name} cannot spawn {name}: its cell stops", actor=parent.name)
        spec = self._family.admit(parent, actor, name=name, may=may)
        if spec is not None:
            await self.add(spec, parent=parent.name)
        return name

    # --- keeping them alive

    async def open(
        self, specs: Sequence[ActorSpec], *, formation: CellTable | None = None, handover: bool = False
    ) -> list[Host]:
        """Open the addresses of the fleet file's actors, who live and die as `formation` says from :meth:`begin` on."""
        hosts = [await self._open(spec, handover=handover) for spec in specs]
        self.node = self._troupe.keep(hosts, formation)
        return hosts

    def begin(self, *, durable: bool = True) -> None:
        """Start them, and if there are queues take the work that is stored for them."""
        self.node.tell(Begin())
        for kid in self.node.state.kids if durable else ():
            if (host := self.hosts.get(kid.name)) is not None:
                host.take_tasks(self._tasks)

    async def add(self, spec: ActorSpec, *, parent: str = "") -> Host:
        """Open the address of an actor that belongs to no other, and keep it alive from now on."""
        host = await self._open(spec, parent=parent)
        self._troupe.keep([host], None).tell(Begin())
        return host

    async def _open(self, spec: ActorSpec, *, parent: str = "", handover: bool = False) -> Host:
        host = Host(furnished(spec, self, self._files.tasks), self, parent=parent)
        if handover:
            host.wait_for_handover()
        self.hosts[spec.name] = host  # before the first await: the name is taken from now on
        try:
            await host.open()
        except BaseException:
            del self.hosts[spec.name]
            with anyio.CancelScope(shield=True):  # bounded: an interest ends within two seconds
                await host.leave()
            raise
        return host

    def say_down(self, host: Host, why: str) -> None:
        """Record a crash, end who was spawned, and tell all who care."""
        self.report("actor-crashed", host.name, why)
        self.end_children(host, "crashed")
        self._notify(NoticeBody(host.name, "crashed", why[:500], self.epoch))

    def put_down(self, host: Host, why: str) -> None:
        """Refuse an actor's messages until :meth:`raise_up`."""
        host.hold(why)
        self.end_children(host, "is held")
        self.report("actor-held", host.name, why)
        self._notify(NoticeBody(host.name, "held", why[:500], self.epoch))

    def raise_up(self, host: Host) -> None:
        """Take an actor's messages again."""
        host.revive()
        self.report("actor-revived", host.name, "revived by hand")
        self._notify(NoticeBody(host.name, "up", "", self.epoch))

    async def hand_back(self, host: Host) -> None:
        """Give what an actor that stops will not come to back to who keeps it, and answer what nobody keeps."""
        letters = host.give_back_tasks(host.mailbox.close())
        if letters and self._upward is not None:
            kept = letters[: await self._upward.keep(host.name, letters)]
            for letter in kept:
                self.flight.done(letter.slot)
            letters = letters[len(kept) :]
        gone = ActorStopped(f"{host.name} did not come to this message: its cell stops", actor=host.name)
        host.answer(letters, gone, last=True)

    def give_up(self, why: str) -> None:
        """Pass on that the plan is at its end; where nobody is above, say so."""
        if self.node.plan.top:
            self.report("group-held", self.endpoint.cell, why)
        elif self._upward is not None:
            self._upward.escalate(why)
        else:
            self.report("cell-escalated", self.endpoint.cell, why)
            for kid in self.node.state.kids:
                if kid.name in self.hosts:
                    self.put_down(self.hosts[kid.name], why)

    def _say_gap(self) -> None:
        """Tell all who speak to our actors that we were cut off: what they sent meanwhile may be lost."""
        why = f"cell {self.endpoint.cell} was cut off from the bus"
        for host in list(self.hosts.values()):
            if not host.parent:
                self._notify(NoticeBody(host.name, "gap", why, self.epoch))
        for page in pages_of(self.registry.names(), max_payload=self.endpoint.bus.max_payload):
            self._notify(NoticeBody("", "gap", why, self.epoch, more=page))

    def _notify(self, notice: NoticeBody) -> None:
        try:
            self.endpoint.notify(notice)
        except CallboardError as error:  # without a bus nobody hears it; the actors go on all the same
            self.report("notice-lost", notice.actor, f"{notice.what}: {error.text}", code=error.code)

    def _on_uncertain(self, actor: str, ids: list[str], why: str) -> None:
        """Record what we told an actor that died, and that it never acknowledged."""
        text = f"{len(ids)} messages that cell {self.endpoint.cell} told it may be lost: {why}"
        self.report("tells-uncertain", actor, text, count=len(ids), ids=" ".join(ids[:NAMED_MOST]))

    def _on_notice(self, notice: NoticeBody) -> None:
        if notice.what in _ENDS:
            ended = set(notice.actors)
            for host in [host for host in self.hosts.values() if host.watched]:
                for actor in host.watched & ended:
                    host.saw_down(actor, notice.why)

    def end_children(self, parent: Host, what: str) -> None:
        """End the children before their parent starts again: it will spawn them anew, under the same names."""
        for child in self._family.children(parent.name):
            self.take_away(child, f"its parent {parent.name} {what}")

    def take_away(self, host: Host, why: str) -> None:
        """Take an actor away for good. Its name is free at once; what it owes is answered soon after."""
        if self.hosts.get(host.name) is host:
            del self.hosts[host.name]
            life = self._troupe.drop(host.name)
            self.end_children(host, "ended")
            files = [file for file in (self._files.leave(host.name), self.memories.leave(host.name)) if file]
            self._tasks.start_soon(self._close, host, life, files, why)

    async def _close(self, host: Host, life: Life, files: list[OpenFile[Any]], why: str) -> None:
        await host.close(why)
        for scope in [*life.runs, *life.pauses]:
            scope.cancel()
        self.report("actor-ended", host.name, why)
        self._notify(NoticeBody(host.name, "ended", why[:500], self.epoch))
        if files:
            await end_within(life, 0.0)
        for file in files:
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
        self._notify(NoticeBody(actor, "crashed", "restarted by hand", self.epoch))
        self.end_children(host, "was restarted")
        self._troupe.tell(actor, Restarted(actor))
        self._troupe.interrupt(actor)

    def hold(self, actor: str, *, why: str) -> None:
        """Stop `actor` and refuse its messages until it is revived."""
        self._host(actor)
        self._troupe.tell(actor, Held(actor, why))
        self._troupe.interrupt(actor)

    def revive(self, actor: str) -> None:
        """End a hold, with a fresh budget; where the whole cell is held, of all."""
        host = self._host(actor)
        if host.held:
            self.raise_up(host)
            self._troupe.tell(actor, Revived(actor))

    def pardon(self, actor: str, digest: str) -> None:
        """Refuse a message's content no longer."""
        if (host := self.hosts.get(actor)) is not None:
            host.confinement.pardon(digest)

    def learn(self, homes: Mapping[str, str]) -> None:
        """Take note of who lives where from now on."""
        self._homes.clear()
        self._homes.update(homes)

    def where(self, actor: str) -> str:
        """Return where an actor is if it is here, as the daemon would say it; for fleets without one."""
        host = self.hosts.get(actor)
        return "unknown" if host is None else in_cell(self.endpoint.cell) if host.parent else "up"

    async def inspect(self, actor: str) -> Inspected:
        """Return what one of our actors has in hand, and what its file knows."""
        host = self._host(actor)
        queued = 0 if host.tasks is None else (await self.endpoint.bus.queue.state(self.endpoint.fleet, actor)).waiting
        return await inspect(host, await self.file_of(actor), queued=queued)

    def rows(self) -> list[Row]:
        """Return how it stands with each actor."""
        return [host.row() for host in self.hosts.values()]

    async def drain(self) -> None:
        """Stop all, those of the fleet file in reverse order: what is in hand may end, the rest is answered."""
        for host in self.hosts.values():
            host.state = "draining"
        async with self.thinking.settled():
            await self._troupe.end()
        for host in reversed(list(self.hosts.values())):
            await host.close("its cell stops")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Cell", None]:
        """Own the tasks of the cell; actors end before the files they write to."""
        async with AsyncExitStack() as stack:
            files = await stack.enter_async_context(background())
            await self.registry.open()
            self._files = Files(
                lambda actor: ActorFile.open(self.state, actor, epoch=self.epoch, clock=self.clock), tasks=files
            )
            self.memories = Memories(
                self.state, self._embedder, epoch=self.epoch, clock=self.clock, report=self.report, tasks=files,
                keep=lambda actor: self.hosts[actor].spec.keep,
            )  # fmt: skip
            self._tasks = await stack.enter_async_context(background())
            self.thinking = CellMinds(self, self._llm, self._home, tasks=self._tasks)
            stack.push_async_callback(self.thinking.aclose)
            self._troupe = Troupe(self, self._tasks)
            rounds = Rounds(
                self.hosts, self.busy, self.flight, self.beats,
                wedged=self._wedged, served=self._served, look=self._troupe.look,
            )  # fmt: skip
            self._tasks.start_soon(rounds.run)
            self.endpoint.bus.on_gap(self._say_gap)
            await stack.enter_async_context(Discovery(self.endpoint, self.hosts))
            yield self
