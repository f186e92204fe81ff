"""Cells that belong together, in the daemon: the keeper of their node, and the hands that do what it orders."""

from collections.abc import Callable, Sequence

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.clock import Clock
from callboard.errors import Detail

from .charge import REAPED_WITHIN, Charge
from .config import FleetConfig
from .formation import GroupTable, plan_of
from .incarnation import KILL_AFTER
from .keeper import Keeper
from .plan import Begin, Child, End, Restarted, Revived

Report = Callable[[str, str, str, Detail], None]


class Group:
    """The :class:`~.keeper.Hands` of one node of cells; without a table, those that are in no group."""

    def __init__(
        self, table: GroupTable | None, charges: Sequence[Charge], *, clock: Clock, tasks: TaskGroup, report: Report
    ) -> None:
        self.name = table.name if table else ""
        self.charges = {charge.name: charge for charge in charges}
        self._clock, self._report = clock, report
        children = [Child(name=each.name, restart=each.restart_type, intensity=each.intensity) for each in charges]
        self.keeper = Keeper(plan_of(table, children), self, clock=clock, tasks=tasks)
        for charge in charges:
            charge.tell = self.keeper.tell

    def recast(self, charge: Charge) -> None:
        """Keep a cell from now on as its actors' new limits say."""
        plan = self.keeper.plan
        new = Child(name=charge.name, restart=charge.restart_type, intensity=charge.intensity)
        children = tuple(new if child.name == charge.name else child for child in plan.children)
        self.keeper.plan = msgspec.structs.replace(plan, children=children)

    def remove(self, charge: Charge) -> None:
        """Keep a cell no more, which has been stopped and has left: its name may come again, in another group."""
        charge.tell = lambda _event: None  # it may still have something to say of its last life
        self.keeper.forget(charge.name)
        del self.charges[charge.name]

    def begin(self) -> None:
        """Start the cells."""
        self.keeper.tell(Begin())

    def crashes(self, cell: str) -> int:
        """Return the deaths of a cell that still count against its budget."""
        now, within = self._clock.monotonic(), self.charges[cell].intensity.within
        return sum(now - at < within for at in self.keeper.kid(cell).crashes)

    def revive(self, cell: str) -> str:
        """End a cell's hold or backoff, or that of the whole group; return in words what starts again."""
        whole = self.keeper.state.mode == "held"
        if whole:
            for charge in self.charges.values():
                charge.forgive()  # what is sent to those behind it waits for their turn
        self.keeper.tell(Revived(cell) if self.charges[cell].why_held else Restarted(cell))
        return f"all of group {self.name}" if whole else f"its cell {cell}"

    async def end(self) -> None:
        """Stop the cells in reverse order; returns when each process has ended."""
        kept = not any(charge.ended.is_set() for charge in self.charges.values())
        for charge in self.charges.values():
            charge.close()
        if kept:  # else who would tell us that a process has ended was cancelled
            self.keeper.tell(End())
            longest = sum(charge.limits.drain_for + KILL_AFTER + REAPED_WITHIN for charge in self.charges.values())
            with anyio.move_on_after(longest):
                await self.keeper.over.wait()
        for charge in reversed(self.charges.values()):
            await charge.stop()

    # --- what the keeper orders

    def start(self, name: str) -> None:
        """Begin a life."""
        self.charges[name].start()

    def stop(self, name: str) -> None:
        """Let a process end."""
        self.charges[name].end_life()

    def mend(self, name: str, seconds: float) -> None:
        """Do nothing: a cell has one process, which does not crash in part."""

    def hold(self, name: str, why: str) -> None:
        """Refuse a cell's messages."""
        self.charges[name].hold(why)

    def ended(self, name: str) -> None:
        """Show why a cell is not started again; a person can."""
        self.charges[name].leave_be()

    def recovered(self, name: str, crashes: int) -> None:  # noqa: ARG002 - the story says how long it took
        """Say that a cell serves again."""
        text, detail = self.charges[name].recovery()
        self._report("cell-recovered", name, text, detail)

    def escalate(self, why: str) -> None:
        """Say that the whole group is held."""
        self._report("group-held", self.name, f"{', '.join(self.charges)}: {why}", {})


def groups_of(
    config: FleetConfig, charges: dict[str, Charge], *, clock: Clock, tasks: TaskGroup, report: Report
) -> list[Group]:
    """Return the groups of a fleet in the order of their first cells; those in no group are one."""
    homes = {cell: table.name for table in config.groups for cell in table.cells}
    tables = {table.name: table for table in config.groups}
    made: list[Group] = []
    for name in dict.fromkeys(homes.get(cell, "") for cell in charges):
        table = tables.get(name)
        cells = table.cells if table else [cell for cell in charges if cell not in homes]
        made.append(Group(table, [charges[cell] for cell in cells], clock=clock, tasks=tasks, report=report))
    return made
