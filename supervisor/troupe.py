"""The actors of one cell under their keepers: what is ordered is done to their replicas, what becomes of them is told.

The actors of the fleet file are the children of one node. Those that were spawned, and the runtime's own, have a node
each: a step looks at all children of its node, and there may be ten thousand of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from callboard.actors import Host

from .formation import CellTable, plan_of
from .keeper import Keeper
from .plan import Child, End, Event, Exited, Faltered, Served, Started
from .pool import Life, Pool

if TYPE_CHECKING:
    from .cell import Cell


class Troupe:
    """The :class:`~.keeper.Hands` of all keepers in a cell, and the audience of all pools."""

    def __init__(self, cell: "Cell", tasks: TaskGroup) -> None:
        self._cell, self._tasks = cell, tasks
        self.pools: dict[str, Pool] = {}
        self._keepers: dict[str, Keeper] = {}
        self._unproven: dict[str, int] = {}
        """Actors that were restarted and have not served since: how many messages they had handled before."""
        self._ends_at: float | None = None
        """When all must have ended (monotonic seconds); None while nobody is to."""

    def keep(self, hosts: Sequence[Host], table: CellTable | None) -> Keeper:
        """Put actors under a keeper of their own, in this order; it waits for Begin."""
        children = [Child(name=h.name, restart=h.spec.restart, intensity=h.spec.intensity) for h in hosts]
        plan = plan_of(table, children)
        keeper = Keeper(plan, self, clock=self._cell.clock, tasks=self._tasks)
        for host in hosts:
            whole = plan.strategy != "one_for_one"
            self.pools[host.name] = Pool(host, self, tasks=self._tasks, whole=whole)
            self._keepers[host.name] = keeper
        return keeper

    def tell(self, name: str, event: Event) -> None:
        """Tell the keeper of an actor."""
        self._keepers[name].tell(event)

    def interrupt(self, name: str) -> None:
        """Cancel what an actor does."""
        self.pools[name].interrupt()

    def drop(self, name: str) -> Life:
        """Forget an actor that ends for good; return its life to who ends it."""
        self._unproven.pop(name, None)
        keeper = self._keepers.pop(name)
        if len(keeper.plan.children) == 1:
            keeper.close()
        return self.pools.pop(name).abandon()

    @property
    def ends(self) -> bool:
        """Whether the cell stops."""
        return self._ends_at is not None

    async def end(self) -> None:
        """Stop all, those of the fleet file in reverse order, within the longest of their times."""
        longest = max((pool.host.spec.health.drain_for for pool in self.pools.values()), default=0.0)
        self._ends_at = anyio.current_time() + longest
        keepers = list(dict.fromkeys(reversed(self._keepers.values())))
        for keeper in keepers:
            keeper.tell(End())
        for keeper in keepers:
            await keeper.over.wait()  # bounded: each stop has its limit

    def look(self) -> None:
        """Tell of those that were restarted and have served since."""
        for name, before in list(self._unproven.items()):
            if self.pools[name].host.handled > before:
                del self._unproven[name]
                self.tell(name, Served(name))

    # --- what keepers order

    def start(self, name: str) -> None:
        """Begin a life."""
        host = self.pools[name].host
        if host.held:
            self._cell.raise_up(host)
        if self._keepers[name].kid(name).lives > 1:
            self._unproven[name] = host.handled
        self.pools[name].start()

    def stop(self, name: str) -> None:
        """Let a life end; at the end of the cell its address is left too."""
        host = self.pools[name].host
        limit, leave = host.spec.health.drain_for, self.ends
        if self._ends_at is not None:
            limit = max(0.0, min(limit, self._ends_at - anyio.current_time()))
        elif not host.held:
            host.state = "restarting"
        self.pools[name].stop(limit=limit, leave=leave)

    def mend(self, name: str, seconds: float) -> None:
        """Run another replica in place of one that crashed."""
        host = self.pools[name].host
        host.restarts += 1
        self._unproven[name] = host.handled
        self.pools[name].mend(seconds)

    def hold(self, name: str, why: str) -> None:
        """Refuse messages."""
        self.pools[name].life.counts = False
        self._cell.put_down(self.pools[name].host, why)

    def ended(self, name: str) -> None:
        """Take an actor away that will not come back."""
        pool = self.pools[name]
        self._cell.take_away(pool.host, pool.why or "it has ended")

    def recovered(self, name: str, crashes: int) -> None:
        """Say that an actor that crashed serves again."""
        if crashes:
            times = "a crash" if crashes == 1 else f"{crashes} crashes"
            self._cell.report("actor-recovered", name, f"serves again: it has handled a message after {times}")

    def escalate(self, why: str) -> None:
        """Say that the actors of the fleet file are given up, all together."""
        self._cell.give_up(why)

    # --- what becomes of replicas

    def made(self, host: Host) -> None:
        """An actor has started."""
        self.tell(host.name, Started(host.name))

    def faltered(self, host: Host, why: str) -> None:
        """One of several replicas crashed."""
        self._cell.say_down(host, why)
        self.tell(host.name, Faltered(host.name, why))

    def crashed(self, host: Host, why: str, *, told: bool) -> None:
        """The replica of a life that ends with it crashed, or one that was to end anyway."""
        if told:
            self._cell.report("actor-crashed", host.name, why)
        else:
            self._cell.say_down(host, why)

    async def left(self, host: Host) -> None:
        """An actor has left its address for good."""
        await self._cell.hand_back(host)

    def exited(self, host: Host, life: Life) -> None:
        """A life is over."""
        name = host.name
        if not self.ends:
            self._cell.end_children(host, "was stopped")
        self.tell(name, Exited(name, "crashed" if life.why else "normal", life.why))
        if life.counts and name in self.pools and self._keepers[name].kid(name).phase not in ("held", "ended"):
            host.restarts += 1
            host.state = "restarting"
