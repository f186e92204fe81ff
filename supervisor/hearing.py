"""Who may say what to the supervisor actor: the owner's programs give orders, and each cell speaks for itself."""

from typing import TYPE_CHECKING, Final

from callboard.actors import Context, PermissionDenied
from callboard.bus import DAEMON_CELL

from .errors import NoAuthor
from .persons import Command
from .reserved import CLIENTS

if TYPE_CHECKING:
    from .daemon import Daemon

OWNER: Final = "the owner"
"""Who gives orders where the fleet file names no persons."""


class Hearing:
    """Base of the actor's handlers."""

    options: "Daemon"

    def hear_cell(self, cell: str, ctx: Context) -> None:
        """Refuse what a cell says in another's name."""
        if ctx.sender_cell != cell:
            raise self.denied(ctx, f"speak for cell {cell}")

    def hear_owner(self, ctx: Context) -> None:
        """Hear only the owner's clients: every cell may report here, and none may command."""
        if ctx.sender_cell != DAEMON_CELL and not ctx.sender_cell.startswith(CLIENTS):
            raise self.denied(ctx, "give orders or look around")

    async def obey(self, command: Command, ctx: Context, subject: str, what: str) -> str:
        """Record who gave an order, and return the name; refuse it if nobody gave it who may."""
        self.hear_owner(ctx)
        try:
            who = self.options.persons.author(command) or OWNER
        except NoAuthor as error:
            self.options.report("order-refused", subject, f"{what}: {error.text}", {"code": error.code})
            raise
        await self.options.records.add("ordered", subject, f"{what[:300]}, by {who}", {"person": who})
        return who

    def denied(self, ctx: Context, what: str) -> PermissionDenied:
        text = f"cell {ctx.sender_cell!r} may not {what} at the supervisor"
        self.options.report("permission-denied", ctx.sender_cell, text, {"code": PermissionDenied.code})
        return PermissionDenied(text, cell=ctx.sender_cell)


def hear_daemon(ctx: Context) -> None:
    """Refuse what is not said by the daemon: who may tell anybody may tell a cell's keeper too."""
    if ctx.sender_cell != DAEMON_CELL:
        raise PermissionDenied(f"cell {ctx.sender_cell!r} is not the daemon", cell=ctx.sender_cell)
