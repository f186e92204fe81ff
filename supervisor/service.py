"""The two actors of the runtime itself: the supervisor, which commands speak to, and one in each cell.

They are ordinary actors; what they act on is given to them as their options.
"""

from typing import TYPE_CHECKING

from callboard.actors import Actor, Context, receive
from callboard.errors import CallboardError

from .dead import Dead, DropDead, ListDead, RetryDead, ShowDead
from .inspection import Inspect, Inspected
from .messages import (
    ActorHealth,
    Actors,
    AutopsyFound,
    CellReady,
    CellUp,
    Confine,
    Done,
    Escalated,
    EventList,
    Kept,
    Left,
    ListActors,
    ListEvents,
    ListRows,
    NewHomes,
    Order,
    Pardon,
    Recorded,
    Reloaded,
    Rows,
    Serves,
    Settled,
    ShowAutopsy,
    ShowHealth,
    Stop,
    Wedged,
)
from .reserved import is_reserved

if TYPE_CHECKING:
    from .cell import Cell
    from .daemon import Daemon


class Supervisor(Actor):
    """Answer commands about the fleet, and take in what cells report."""

    name = "supervisor"
    concurrency = 32
    answers_with = (CallboardError,)
    options: "Daemon"

    @receive
    async def actors(self, _message: ListActors, _ctx: Context) -> Actors:
        """List who lives where and how well."""
        return await self.options.list_actors()

    @receive
    async def events(self, message: ListEvents, _ctx: Context) -> EventList:
        """List what was seen and done."""
        return await self.options.records.list(message)

    @receive
    async def order(self, message: Order, _ctx: Context) -> Done:
        """Restart, hold or revive an actor."""
        return await self.options.order(message)

    @receive
    async def reload(self, _message: Reloaded, _ctx: Context) -> Done:
        """Apply the changed fleet file."""
        return Done(text=await self.options.reload.run())

    @receive
    async def stop(self, _message: Stop, _ctx: Context) -> Done:
        """Begin to drain and stop."""
        self.options.stop("told to by 'callboard down'")
        return Done(text="draining")

    @receive
    async def recorded(self, message: Recorded, _ctx: Context) -> None:
        """Record what a cell saw."""
        await self.options.records.take(message)

    @receive
    async def cell_up(self, message: CellUp, _ctx: Context) -> Kept:
        """Hand over what was kept for an actor."""
        return await self.options.hand_over(message)

    @receive
    async def cell_ready(self, message: CellReady, _ctx: Context) -> Done:
        """Take note that a cell serves."""
        await self.options.cell_ready(message)
        return Done()

    @receive
    async def serves(self, message: Serves, _ctx: Context) -> None:
        """Take note that a cell has handled its first message."""
        await self.options.cell_serves(message)

    @receive
    async def left(self, message: Left, _ctx: Context) -> Done:
        """Keep what a cell did not come to."""
        return self.options.take_back(message)

    @receive
    async def settled(self, message: Settled, _ctx: Context) -> None:
        """Take note that each actor of a cell has started."""
        self.options.cell_settled(message)

    @receive
    async def escalated(self, message: Escalated, _ctx: Context) -> Done:
        """Take note why a cell is about to end itself."""
        self.options.cell_escalated(message)
        return Done()

    @receive
    async def wedged(self, message: Wedged, _ctx: Context) -> None:
        """End a process whose handler cannot be stopped."""
        self.options.condemn(message)

    @receive
    async def confine(self, message: Confine, _ctx: Context) -> None:
        """Quarantine a message that failed too often."""
        await self.options.confine(message)

    @receive
    async def autopsy(self, message: ShowAutopsy, _ctx: Context) -> AutopsyFound:
        """Show how a cell died last, and what it held."""
        return AutopsyFound(autopsy=await self.options.autopsy(message.cell))

    @receive
    async def health(self, message: ShowHealth, _ctx: Context) -> ActorHealth:
        """Show all that is known of how an actor is."""
        return await self.options.health(message.actor)

    @receive
    async def inspect(self, message: Inspect, _ctx: Context) -> Inspected:
        """Show what a living actor has in hand, and what its file knows."""
        return await self.options.inspect(message)

    @receive
    async def dead(self, message: ListDead, _ctx: Context) -> Dead:
        """List what is in quarantine."""
        return await self.options.dead.listing(message.limit)

    @receive
    async def show_dead(self, message: ShowDead, _ctx: Context) -> Dead:
        """Show one message in quarantine whole."""
        return await self.options.dead.show(message.which)

    @receive
    async def retry_dead(self, message: RetryDead, _ctx: Context) -> Done:
        """Store messages again where they came from."""
        return Done(text=await self.options.dead.retry(message.which))

    @receive
    async def drop_dead(self, message: DropDead, _ctx: Context) -> Done:
        """Forget messages, and let contents through again."""
        return Done(text=await self.options.dead.drop(message.which))


class CellKeeper(Actor):
    """Answer the daemon for one cell."""

    name = "cell-keeper"
    concurrency = 4
    answers_with = (CallboardError,)
    options: "Cell"

    @receive
    async def rows(self, _message: ListRows, _ctx: Context) -> Rows:
        """Say how it stands with each actor."""
        return Rows(rows=[row for row in self.options.rows() if not is_reserved(row.actor)])

    @receive
    async def order(self, message: Order, _ctx: Context) -> Done:
        """Act on an actor of this cell."""
        if message.verb == "restart":
            self.options.restart(message.actor)
        elif message.verb == "hold":
            self.options.hold(message.actor, why="held by hand")
        else:
            self.options.revive(message.actor)
        return Done(text=f"{message.actor}: {message.verb}")

    @receive
    async def inspect(self, message: Inspect, _ctx: Context) -> Inspected:
        """Show what an actor of this cell has in hand, and what its file knows."""
        return await self.options.inspect(message.actor)

    @receive
    async def homes(self, message: NewHomes, _ctx: Context) -> Done:
        """Take note of who lives where from now on."""
        self.options.learn(message.homes)
        return Done()

    @receive
    async def pardon(self, message: Pardon, _ctx: Context) -> None:
        """Let a content through again."""
        self.options.pardon(message.actor, message.digest)
