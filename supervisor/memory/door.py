"""The part of the supervisor actor that hears commands about memories, and outcomes."""

from typing import Final

import anyio
import msgspec

from callboard.actors import Context, DoorCrowded, DoorLimits, Turnstile, receive
from callboard.store import Outcome, checked_outcome

from ..hearing import Hearing
from .desk import WORK_WITHIN
from .messages import (
    BackUpMemory,
    ForgetMemory,
    Forgot,
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
    PassOutcome,
    ReindexMemory,
    RestoreMemory,
    SayOutcome,
    SearchMemory,
    ShowMemory,
    ShowStats,
    WouldForget,
)

OUTCOMES: Final = DoorLimits(rate=20.0, burst=400)
"""What one cell may say of how messages turned out: each is told to all the others."""


class MemoryDoor(Hearing):
    """Handlers of :class:`~..service.Supervisor`."""

    outcomes: dict[str, Turnstile]
    """For each cell."""

    @receive
    async def list_memory(self, message: ListMemory, ctx: Context) -> MemoryPage:
        """Show the newest episodes of an actor."""
        self.hear_owner(ctx)
        return await self.options.memory.pass_on(message, MemoryPage)

    @receive
    async def list_keys(self, message: ListKeys, ctx: Context) -> Keys:
        """Show what an actor has at hand."""
        self.hear_owner(ctx)
        return await self.options.memory.pass_on(message, Keys)

    @receive
    async def show_memory(self, message: ShowMemory, ctx: Context) -> MemoryShown:
        """Show one episode whole."""
        self.hear_owner(ctx)
        return await self.options.memory.pass_on(message, MemoryShown)

    @receive
    async def search_memory(self, message: SearchMemory, ctx: Context) -> MemoryFound:
        """Find what an actor knows."""
        self.hear_owner(ctx)
        return await self.options.memory.pass_on(message, MemoryFound)

    @receive
    async def memory_stats(self, message: ShowStats, ctx: Context) -> MemoryCounts:
        """Count what actors know."""
        self.hear_owner(ctx)
        return await self.options.memory.counts(message)

    @receive
    async def would_forget(self, message: WouldForget, ctx: Context) -> Mentioned:
        """Count what names somebody."""
        self.hear_owner(ctx)
        return await self.options.memory.would_forget(message)

    @receive
    async def forget_memory(self, message: ForgetMemory, ctx: Context) -> Forgot:
        """Delete what actors know of somebody, or one episode. The record says that it was ordered, not of whom."""
        what = f"episode {message.id}" if message.id else "what is known of somebody"
        await self.obey(message, ctx, message.actor or "all", f"memory forget: {what}")
        return await self.options.memory.forget(message)

    @receive
    async def reindex_memory(self, message: ReindexMemory, ctx: Context) -> MemoryFiles:
        """Begin to make vectors anew."""
        await self.obey(message, ctx, message.actor or "all", "memory reindex")
        return await self.options.memory.reindex(message)

    @receive
    async def back_up_memory(self, message: BackUpMemory, ctx: Context) -> MemoryFiles:
        """Copy an actor's files."""
        await self.obey(message, ctx, message.actor, f"memory backup into {message.folder}")
        return await self.options.memory.pass_on(message, MemoryFiles, within=WORK_WITHIN)

    @receive
    async def restore_memory(self, message: RestoreMemory, ctx: Context) -> MemoryFiles:
        """Put a copy back."""
        await self.obey(message, ctx, message.actor, f"memory restore from {message.folder}")
        return await self.options.memory.pass_on(message, MemoryFiles, within=WORK_WITHIN)

    @receive
    async def outcome(self, message: SayOutcome, ctx: Context) -> OutcomeSaid:
        """Let all know how a message turned out, as a person says."""
        said = checked_outcome(Outcome(message=message.message, good=message.good, why=message.why, trust=2))
        verdict = "good" if said.good else "bad"
        who = await self.obey(message, ctx, said.message, f"outcome {verdict}: {said.why[:200]}")
        return await self.options.memory.spread(msgspec.structs.replace(said, said_by=f"person:{who}"))

    @receive
    async def pass_outcome(self, message: PassOutcome, ctx: Context) -> OutcomeSaid:
        """Let all other cells know how a message turned out, as an actor says."""
        self.hear_cell(message.cell, ctx)
        said, desk = message.outcome, self.options.memory
        if not self.options.directory.lives(said.said_by, message.cell):
            raise self.denied(ctx, f"say an outcome in the name of {said.said_by[:60]!r}")
        if wait := self.outcomes.setdefault(message.cell, Turnstile(OUTCOMES)).admit(anyio.current_time()):
            raise DoorCrowded(f"cell {message.cell} says too many outcomes: rest for {wait:.1f} s", wait=wait)
        return await desk.spread(msgspec.structs.replace(said, trust=min(1, said.trust)), but=message.cell)
