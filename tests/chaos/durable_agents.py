"""The agents of a run of durable work: whatever they do leaves a trace in their files, and each step one outside.

``CALLBOARD_CHAOS_OFF`` names a mechanism that is switched off in each cell that imports this.
"""

import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
import anyio.lowlevel
import msgspec

from callboard import Actor, Context, Message, receive
from callboard.actors import Grant
from callboard.store import MemoryLayer, Outgoing
from callboard.store.task_log import Known, TaskLog

OFF: Final = "CALLBOARD_CHAOS_OFF"


class Book(msgspec.Struct, frozen=True):
    """Where the effects outside are written down."""

    log: str


class Job(Message):
    """A task, and all that it is to do."""

    name: str
    steps: int = 0
    then: int = 0
    """Tasks for the clerk that follow from it."""
    tells: int = 0
    fails: int = 0
    """How many tries fail, at most; below 0: all."""
    place: int = 0
    """Its place among those of its key."""
    until: str = ""
    """A file that has to be there before it goes on."""


class Note(Message):
    """A task that follows from another one."""

    name: str


class Word(Message):
    """What a task tells the clerk."""

    name: str


def write(path: str, name: str) -> None:
    """Append one line in one call: whole or not at all, also in the moment of a kill."""
    line = f"{name} {os.getpid()} {os.getppid()} {time.monotonic():.6f}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


async def effect(path: str, name: str) -> str:
    """Have an effect outside, and return what depends on it."""
    write(path, name)
    return f"{name} was done"


class Desk(Actor):
    """Does tasks."""

    concurrency = 4
    may = Grant(enqueue=("clerk",), tell=("clerk",))
    Options = Book
    options: Book

    @receive
    async def job(self, message: Job, ctx: Context) -> None:
        """Take all steps, change memory, say what is to be said, and only then fail."""
        for number in range(message.steps):
            name = f"{message.name}/{number}"
            if await ctx.step(f"step {number}", effect, self.options.log, name) != f"{name} was done":
                raise RuntimeError(f"the journal has the result of another step for {name}")
        await ctx.memory.incr(f"did-{message.name}", ttl=math.inf)
        if ctx.key:
            places: list[int] = await ctx.memory.get(f"order-{ctx.key}", list[int], default=[])
            await ctx.memory.put(f"order-{ctx.key}", [*places, message.place], ttl=math.inf)
        for number in range(message.then):
            await ctx.enqueue("clerk", Note(name=f"{message.name}.{number}"), id=f"{message.name}.{number}")
        for number in range(message.tells):
            await ctx.tell("clerk", Word(name=f"{message.name}.{number}"))
        while message.until and not os.path.exists(message.until):  # noqa: PTH110, ASYNC240 - one look
            ctx.progress("waits for a file")
            await anyio.sleep(0.02)
        if message.fails < 0 or ctx.attempt <= message.fails:
            raise ValueError(message.name)


class Clerk(Actor):
    """Does what follows."""

    concurrency = 4

    @receive
    async def note(self, message: Note, ctx: Context) -> None:
        """Count a task."""
        await ctx.memory.incr(f"did-{message.name}", ttl=math.inf)

    @receive
    async def word(self, message: Word, ctx: Context) -> None:
        """Count what was told."""
        await ctx.memory.incr(f"told-{message.name}", ttl=math.inf)


# --- what can be switched off


async def _forget_done(log: TaskLog, task: str) -> None:
    await log._db.write(lambda conn: conn.execute("DELETE FROM inbox WHERE task = ?", (task,)).rowcount)


def _without_inbox() -> None:
    known, commit = TaskLog.known, TaskLog.commit

    async def knows_nothing(log: TaskLog, task: str) -> Known:
        await _forget_done(log, task)
        return await known(log, task)

    async def commits(log: TaskLog, task: str, memory: MemoryLayer, outgoing: Sequence[Outgoing]) -> None:
        await _forget_done(log, task)
        await commit(log, task, memory, outgoing)

    TaskLog.known, TaskLog.commit = knows_nothing, commits  # type: ignore[method-assign,assignment]  # the point


def _without_outbox() -> None:
    commit, in_memory = TaskLog.commit, defaultdict[TaskLog, list[Outgoing]](list)

    async def commits(log: TaskLog, task: str, memory: MemoryLayer, outgoing: Sequence[Outgoing]) -> None:
        await commit(log, task, memory, [])
        in_memory[log].extend(msgspec.structs.replace(each, task=task) for each in outgoing)

    async def outbox(log: TaskLog, *, limit: int) -> list[Outgoing]:
        await anyio.lowlevel.checkpoint()
        return in_memory[log][:limit]

    async def left(log: TaskLog, numbers: Sequence[int]) -> None:
        await anyio.lowlevel.checkpoint()
        del in_memory[log][: len(numbers)]

    TaskLog.commit, TaskLog.outbox, TaskLog.left = commits, outbox, left  # type: ignore[method-assign,assignment]  # the point


def _without_journal() -> None:
    async def keeps_nothing(_log: TaskLog, *_step: Any) -> None:
        """Do nothing: the mechanism is switched off."""

    TaskLog.step = keeps_nothing  # type: ignore[method-assign,assignment]  # the point


_MECHANISMS: Final[dict[str, Callable[[], None]]] = {
    "inbox": _without_inbox,
    "outbox": _without_outbox,
    "journal": _without_journal,
}
if os.environ.get(OFF):
    _MECHANISMS[os.environ[OFF]]()
