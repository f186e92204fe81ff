"""``callboard reload``: a changed fleet file applied to the running fleet, cell by cell, without losing a word.

First everything is tried elsewhere (see :mod:`.rehearsal`); whatever is wrong there, nothing is changed here. Then the
new names are told to all cells, new cells are started, changed ones are rolled (the understudies keep what comes while
a process finishes what it has in hand and the next one starts), and those that are gone are stopped. Groups, the bus
and the fleet's name stay what they are: to change those, stop the fleet and start it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.actors import Actor, ActorSpec
from callboard.errors import CallboardError
from callboard.names import OFFICE

from .charge import Charge
from .config import ActorTable, FleetConfig
from .errors import BadFleet
from .messages import NewHomes
from .plan import Held, Restarted
from .queues import declare_queues, open_queues
from .rehearsal import Piece, Tried, rehearse
from .reserved import keeper_of

if TYPE_CHECKING:
    from .daemon import Daemon

SERVES_WITHIN: Final = 60.0
"""Seconds for a rolled cell to serve again, beyond the times that its actors have to stop and to start."""
TOLD_WITHIN: Final = 5.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to the cells. Pure."""

    added: list[str]
    rolled: list[str]
    removed: list[str]

    def story(self) -> str:
        """Return it in words."""
        parts = [("added", self.added), ("rolled", self.rolled), ("removed", self.removed)]
        return "; ".join(f"{what}: {', '.join(cells)}" for what, cells in parts if cells) or "nothing has changed"


def spec_as_said(table: ActorTable, topics: tuple[str, ...] = (), heard: tuple[str, ...] = ()) -> ActorSpec:
    """Return what the daemon needs to know of an actor, without its class, which only its cell imports."""
    fields = {name: getattr(table, name) for name in table.__struct_fields__ if name not in ("use", "options")}
    return ActorSpec(actor=Actor, topics=topics, hears=heard, **fields)


def config_of(tried: Tried, old: FleetConfig) -> FleetConfig:
    """Return the configuration that a tried file means."""
    actors = tuple(
        spec_as_said(table, tried.topics.get(table.name, ()), tried.heard.get(table.name, ())) for table in tried.tables
    )
    return FleetConfig(
        name=tried.name, bus=tried.bus, actors=actors, tables=tuple(tried.tables),
        home=old.home, file=old.file, groups=tuple(tried.groups), persons=tuple(tried.persons),
        formations=tuple(tried.formations), memory=tried.memory, llm=tried.llm,
    )  # fmt: skip


def faults_between(old: FleetConfig, new: FleetConfig) -> list[str]:
    """Return what cannot be changed while the fleet runs, and has."""
    moved = [name for name, cell in new.homes.items() if old.homes.get(name, cell) != cell]
    fixed = {"[fleet] name": (old.name, new.name), "[bus]": (old.bus, new.bus), "[[group]]": (old.groups, new.groups)}
    changed = [what for what, (before, after) in fixed.items() if before != after]
    changed += [f"the cell of {name}" for name in moved]
    return [f"{what} has changed: stop the fleet and start it for that" for what in changed]


def change_between(old: FleetConfig, new: FleetConfig, *, same_code: bool) -> Change:
    """Return which cells are new, gone, or not as they were."""
    before, after = old.cells, new.cells
    kept = [cell for cell in after if cell in before]
    return Change(
        added=[cell for cell in after if cell not in before],
        removed=[cell for cell in before if cell not in after],
        rolled=sorted(
            (cell for cell in kept if not same_code or _looks(old, cell) != _looks(new, cell)),
            key=lambda cell: cell == OFFICE and _models(old) - _models(new) != set(),  # the others still ask for them
        ),
    )


def _models(config: FleetConfig) -> set[str]:
    return {model.name for model in config.llm.models}


def _looks(config: FleetConfig, cell: str) -> object:
    tables = [msgspec.structs.replace(table, may=None) for table in config.cells[cell]]
    grants = [spec.may for spec in config.actors if spec.cell == cell]
    return tables, grants, config.formation_of(cell), config.memory, config.llm.for_cells()


class Reload:
    """For one daemon; one at a time."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._turn = anyio.Lock()

    async def run(self) -> str:
        """Apply the fleet file as it is now; return in words what was done. Raises BadFleet, and then nothing was."""
        async with self._turn:
            daemon = self._daemon
            if daemon.config.file is None:
                raise BadFleet("this fleet was not made from a fleet file: there is nothing to reload")
            tried = await rehearse(self._piece(daemon.config.file))
            new = config_of(tried, daemon.config) if not tried.faults else daemon.config
            if faults := tried.faults or faults_between(daemon.config, new):
                raise BadFleet("nothing was changed: " + "; ".join(faults), path=str(daemon.config.file))
            change = change_between(daemon.config, new, same_code=tried.code == daemon.code)
            persons_before = daemon.config.persons
            await self._apply(new, change)
            daemon.code = tried.code
            late = [name for name in (*change.added, *change.rolled) if daemon.charges[name].state != "up"]
            not_up = f"; not up yet: {', '.join(late)} (see 'callboard events')" if late else ""
            persons = "; other persons" if new.persons != persons_before else ""
            text = f"{change.story()}{persons}; {tried.read} waiting messages fit{not_up}"
            await daemon.records.add("reloaded", new.name, text)
            return text

    def _piece(self, file: Path) -> Piece:
        daemon = self._daemon
        letters = {
            name: understudy.letters()
            for charge in daemon.charges.values()
            for name, understudy in charge.understudies.items()
            if understudy.listens
        }
        return Piece(
            file=str(file), fleet=daemon.config.name, access=daemon.gate.access, durable=daemon.durable,
            actors=[spec.name for spec in daemon.config.actors], letters=letters,
        )  # fmt: skip

    async def _apply(self, new: FleetConfig, change: Change) -> None:
        daemon = self._daemon
        gone = [spec.name for spec in daemon.config.actors if spec.name not in new.homes]
        if daemon.durable:
            await declare_queues(daemon.queue, new.name, new.actors)
            await daemon.undertaker.take_unwanted(new.actors)
            await open_queues(daemon.queue, new.name, new.actors)
        daemon.config = new
        await self._tell_homes(new.homes)
        for cell in change.added:
            await daemon.add_cell(cell)
        for cell in change.rolled:
            await self._roll(daemon.charges[cell], [spec for spec in new.actors if spec.cell == cell])
        for cell in change.removed:
            await self._remove(daemon.charges[cell])
        for actor in gone if daemon.durable else ():
            if not await daemon.queue.remove(new.name, actor):
                await daemon.records.add(
                    "tasks-left", actor, "tasks or events came for it while it was removed: they wait"
                )

    async def _tell_homes(self, homes: dict[str, str]) -> None:
        self._daemon.homes.clear()
        self._daemon.homes.update(homes)
        for charge in self._daemon.charges.values():
            if charge.state == "up":
                try:
                    await self._daemon.voice.ask(keeper_of(charge.name), NewHomes(homes=homes), timeout=TOLD_WITHIN)
                except CallboardError as error:  # it is told when it is started again
                    await self._daemon.records.add("homes-not-told", charge.name, error.text)

    async def _roll(self, charge: Charge, specs: Sequence[ActorSpec]) -> None:
        """Have a cell stop and start again as the new file says, and wait until it serves."""
        epoch = charge.epoch
        await charge.recast(list(specs))
        group = self._daemon.group_of(charge)
        group.recast(charge)
        if charge.why_held:
            return  # as the new file says when it is revived
        group.keeper.tell(Restarted(charge.name))
        patience = max(spec.health.drain_for + spec.health.start_within for spec in specs) + SERVES_WITHIN
        with anyio.move_on_after(patience):
            while not (charge.epoch > epoch and charge.state in ("up", "held", "ended")):  # noqa: ASYNC110 - of many
                await anyio.sleep(0.02)

    async def _remove(self, charge: Charge) -> None:
        """Stop a cell that the file does not name any more, and leave its addresses."""
        group = self._daemon.group_of(charge)
        group.keeper.tell(Held(charge.name, "it was removed from the fleet file"))
        patience = charge.limits.drain_for + SERVES_WITHIN
        with anyio.move_on_after(patience):
            while charge.life is not None:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.02)
        await charge.leave()
        group.remove(charge)
        if not group.charges:
            self._daemon.groups.remove(group)
        del self._daemon.charges[charge.name]
