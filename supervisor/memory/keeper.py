"""The part of a cell's keeper that answers the daemon about memories."""

from typing import TYPE_CHECKING

from callboard.actors import Context, receive

from ..hearing import hear_daemon
from . import copies, forgetting, looking
from .messages import (
    BackUpMemory,
    ForgetMemory,
    Forgot,
    HearOutcome,
    Keys,
    ListKeys,
    ListMemory,
    MemoryCounts,
    MemoryFiles,
    MemoryFound,
    MemoryPage,
    MemoryShown,
    Mentioned,
    OutcomeSaid,
    ReindexMemory,
    RestoreMemory,
    SearchMemory,
    ShowMemory,
    ShowStats,
    WouldForget,
)

if TYPE_CHECKING:
    from ..cell import Cell


class MemoryKeeper:
    """Handlers of :class:`~..service.CellKeeper`."""

    options: "Cell"

    @receive
    async def list_memory(self, message: ListMemory, ctx: Context) -> MemoryPage:
        """Show the newest episodes of an actor."""
        hear_daemon(ctx)
        return await looking.page(self.options, message)

    @receive
    async def list_keys(self, message: ListKeys, ctx: Context) -> Keys:
        """Show what an actor has at hand."""
        hear_daemon(ctx)
        return await looking.keys(self.options, message)

    @receive
    async def show_memory(self, message: ShowMemory, ctx: Context) -> MemoryShown:
        """Show one episode whole."""
        hear_daemon(ctx)
        return await looking.show(self.options, message.actor, message.id)

    @receive
    async def search_memory(self, message: SearchMemory, ctx: Context) -> MemoryFound:
        """Find what an actor knows."""
        hear_daemon(ctx)
        return await looking.search(self.options, message)

    @receive
    async def memory_stats(self, message: ShowStats, ctx: Context) -> MemoryCounts:
        """Count what actors know."""
        hear_daemon(ctx)
        return await looking.counts(self.options, message)

    @receive
    async def would_forget(self, message: WouldForget, ctx: Context) -> Mentioned:
        """Count what names somebody."""
        hear_daemon(ctx)
        return await forgetting.would_forget(self.options, message)

    @receive
    async def forget_memory(self, message: ForgetMemory, ctx: Context) -> Forgot:
        """Delete what actors know of somebody, or one episode."""
        hear_daemon(ctx)
        return await forgetting.forget(self.options, message)

    @receive
    async def reindex_memory(self, message: ReindexMemory, ctx: Context) -> MemoryFiles:
        """Begin to make vectors anew."""
        hear_daemon(ctx)
        return MemoryFiles(lines=await looking.reindex(self.options, message.actor))

    @receive
    async def back_up_memory(self, message: BackUpMemory, ctx: Context) -> MemoryFiles:
        """Copy an actor's files."""
        hear_daemon(ctx)
        return await copies.copy(self.options, message)

    @receive
    async def restore_memory(self, message: RestoreMemory, ctx: Context) -> MemoryFiles:
        """Put a copy back."""
        hear_daemon(ctx)
        return await copies.restore(self.options, message)

    @receive
    async def hear_outcome(self, message: HearOutcome, ctx: Context) -> OutcomeSaid:
        """Take in how a message turned out."""
        hear_daemon(ctx)
        return OutcomeSaid(touched=await self.options.hear_outcome(message.outcome))
