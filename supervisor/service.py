"""The two actors of the runtime itself: the supervisor, which commands speak to, and one in each cell.

They are ordinary actors; what they act on is given to them as their options.
"""

from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.actors import Actor, Context, DoorLimits, Turnstile, receive
from callboard.errors import CallboardError, Detail

from .dead import Dead, DropDead, ListDead, RetryDead, ShowDead
from .hearing import hear_daemon
from .inspection import Inspect, Inspected
from .memory.door import MemoryDoor
from .memory.keeper import MemoryKeeper
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
from .office.door import OfficeDoor
from .reserved import is_hidden

if TYPE_CHECKING:
    from .cell import Cell
    from .daemon import Daemon


DAEMONS: Final = frozenset((
    "ordered", "order-refused", "refused-by-server", "reloaded", "daemon-stopped", "message-released", "task-retried",
    "task-dropped", "dead-letter-unread", "events-unwanted", "queue-damaged", "name-taken-twice", "no-queues",
))  # fmt: skip
DAEMONS_BEGIN: Final = (
    "cell-started",
    "cell-exited",
    "cell-held",
    "cell-revived",
    "server-",
    "lease-",
    "guardian-",
    "remains-",
)
"""Kinds of events that only the daemon sees: what a cell says so, it has made up."""
REPORTS: Final = DoorLimits(rate=50.0, burst=1000)
"""Events that one cell may report: it limits itself to less."""
TEXT_MOST: Final = 2000
DETAIL_MOST: Final = 4096
"""Characters of one value of a detail."""


class Supervisor(MemoryDoor, OfficeDoor, Actor):
    """Answer commands about the fleet, and take in what cells report."""

    name = "supervisor"
    concurrency = 32
    answers_with = (CallboardError,)
    options: "Daemon"

    def __init__(self) -> None:
        self._turnstiles: dict[str, Turnstile] = {}
        self.outcomes: dict[str, Turnstile] = {}

    @receive
    async def actors(self, _message: ListActors, ctx: Context) -> Actors:
        """List who lives where and how well."""
        self.hear_owner(ctx)
        return await self.options.list_actors()

    @receive
    async def events(self, message: ListEvents, ctx: Context) -> EventList:
        """List what was seen and done."""
        self.hear_owner(ctx)
        return await self.options.records.list(message)

    @receive
    async def order(self, message: Order, ctx: Context) -> Done:
        """Restart, hold or revive an actor."""
        await self.obey(message, ctx, message.actor, message.verb)
        return await self.options.order(message)

    @receive
    async def reload(self, message: Reloaded, ctx: Context) -> Done:
        """Apply the changed fleet file."""
        await self.obey(message, ctx, self.options.config.name, "reload")
        return Done(text=await self.options.reload.run())

    @receive
    async def stop(self, message: Stop, ctx: Context) -> Done:
        """Begin to drain and stop."""
        who = await self.obey(message, ctx, self.options.config.name, "down")
        self.options.stop(f"told to by 'callboard down' of {who}")
        return Done(text="draining")

    @receive
    async def recorded(self, message: Recorded, ctx: Context) -> None:
        """Record what a cell saw."""
        cell = ctx.sender_cell
        if message.kind in DAEMONS or message.kind.startswith(DAEMONS_BEGIN):
            raise self.denied(ctx, f"report {message.kind[:60]}")
        if self._turnstiles.setdefault(cell, Turnstile(REPORTS)).admit(anyio.current_time()):
            return  # one that goes around its own limits
        detail = {**_short(message.detail), "cell": cell}  # whatever it said of that itself
        short = msgspec.structs.replace(message, text=message.text[:TEXT_MOST], detail=detail)
        await self.options.records.take(short)

    @receive
    async def cell_up(self, message: CellUp, ctx: Context) -> Kept:
        """Hand over what was kept for an actor."""
        self.hear_cell(message.cell, ctx)
        return await self.options.liaison.hand_over(message)

    @receive
    async def cell_ready(self, message: CellReady, ctx: Context) -> Done:
        """Take note that a cell serves."""
        self.hear_cell(message.cell, ctx)
        await self.options.liaison.cell_ready(message)
        return Done()

    @receive
    async def serves(self, message: Serves, ctx: Context) -> None:
        """Take note that a cell has handled its first message."""
        self.hear_cell(message.cell, ctx)
        await self.options.liaison.cell_serves(message)

    @receive
    async def left(self, message: Left, ctx: Context) -> Done:
        """Keep what a cell did not come to."""
        self.hear_cell(message.cell, ctx)
        return self.options.liaison.take_back(message)

    @receive
    async def settled(self, message: Settled, ctx: Context) -> None:
        """Take note that each actor of a cell has started."""
        self.hear_cell(message.cell, ctx)
        self.options.liaison.cell_settled(message)

    @receive
    async def escalated(self, message: Escalated, ctx: Context) -> Done:
        """Take note why a cell is about to end itself."""
        self.hear_cell(message.cell, ctx)
        self.options.liaison.cell_escalated(message)
        return Done()

    @receive
    async def wedged(self, message: Wedged, ctx: Context) -> None:
        """End a process whose handler cannot be stopped."""
        self.hear_cell(message.cell, ctx)
        self.options.liaison.condemn(message)

    @receive
    async def confine(self, message: Confine, ctx: Context) -> None:
        """Quarantine a message that failed too often."""
        self.hear_cell(message.cell, ctx)
        await self.options.liaison.confine(message)

    @receive
    async def autopsy(self, message: ShowAutopsy, ctx: Context) -> AutopsyFound:
        """Show how a cell died last, and what it held."""
        self.hear_owner(ctx)
        return AutopsyFound(autopsy=await self.options.autopsy(message.cell))

    @receive
    async def health(self, message: ShowHealth, ctx: Context) -> ActorHealth:
        """Show all that is known of how an actor is."""
        self.hear_owner(ctx)
        found = await self.options.health(message.actor)
        return msgspec.structs.replace(found, permissions=self.options.gate.warden.enforced)

    @receive
    async def inspect(self, message: Inspect, ctx: Context) -> Inspected:
        """Show what a living actor has in hand, and what its file knows."""
        self.hear_owner(ctx)
        return await self.options.inspect(message)

    @receive
    async def dead(self, message: ListDead, ctx: Context) -> Dead:
        """List what is in quarantine."""
        self.hear_owner(ctx)
        return await self.options.dead.listing(message.limit)

    @receive
    async def show_dead(self, message: ShowDead, ctx: Context) -> Dead:
        """Show one message in quarantine whole."""
        self.hear_owner(ctx)
        return await self.options.dead.show(message.which)

    @receive
    async def retry_dead(self, message: RetryDead, ctx: Context) -> Done:
        """Store messages again where they came from."""
        await self.obey(message, ctx, "quarantine", f"retry {', '.join(message.which)}")
        return Done(text=await self.options.dead.retry(message.which))

    @receive
    async def drop_dead(self, message: DropDead, ctx: Context) -> Done:
        """Forget messages, and let contents through again."""
        await self.obey(message, ctx, "quarantine", f"drop {', '.join(message.which)}")
        return Done(text=await self.options.dead.drop(message.which))


class CellKeeper(MemoryKeeper, Actor):
    """Answer the daemon for one cell."""

    name = "cell-keeper"
    concurrency = 4
    answers_with = (CallboardError,)
    options: "Cell"

    @receive
    async def rows(self, _message: ListRows, ctx: Context) -> Rows:
        """Say how it stands with each actor."""
        hear_daemon(ctx)
        return Rows(rows=[row for row in self.options.rows() if not is_hidden(row.actor)])

    @receive
    async def order(self, message: Order, ctx: Context) -> Done:
        """Act on an actor of this cell."""
        hear_daemon(ctx)
        if message.verb == "restart":
            self.options.restart(message.actor)
        elif message.verb == "hold":
            self.options.hold(message.actor, why="held by hand")
        else:
            self.options.revive(message.actor)
        return Done(text=f"{message.actor}: {message.verb}")

    @receive
    async def inspect(self, message: Inspect, ctx: Context) -> Inspected:
        """Show what an actor of this cell has in hand, and what its file knows."""
        hear_daemon(ctx)
        return await self.options.inspect(message.actor)

    @receive
    async def homes(self, message: NewHomes, ctx: Context) -> Done:
        """Take note of who lives where from now on."""
        hear_daemon(ctx)
        self.options.learn(message.homes)
        return Done()

    @receive
    async def pardon(self, message: Pardon, ctx: Context) -> None:
        """Let a content through again."""
        hear_daemon(ctx)
        self.options.pardon(message.actor, message.digest)


def _short(detail: Detail) -> Detail:
    return {name[:100]: value[:DETAIL_MOST] if isinstance(value, str) else value for name, value in detail.items()}
