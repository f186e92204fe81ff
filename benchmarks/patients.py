"""The actors that are killed, stopped, blocked and kept waiting. At the top of a module, for cells of their own."""

import os
import random
import time

import anyio

from callboard import Actor, Context, Message, receive
from callboard.actors import EVERYTHING, Grant


class Do(Message):
    """What to do, and for how many seconds."""

    what: str = ""
    seconds: float = 0.0


class Spawn(Message):
    """How many children to have."""

    count: int


class Done(Message):
    """It is done, by this process."""

    pid: int


class Patient(Actor):
    """Does what it is told, however bad."""

    @receive
    async def do(self, message: Do, _ctx: Context) -> Done:
        """Do it."""
        if message.what == "crash":
            raise SystemExit(1)  # no Exception: the replica crashes, and its cell lives on
        if message.what == "block":
            time.sleep(message.seconds)  # noqa: ASYNC251 - what is measured
        elif message.what == "sleep":
            await anyio.sleep(message.seconds)
        return Done(pid=os.getpid())


class Idler(Actor):
    """Does nothing, in numbers."""

    @receive
    async def do(self, _message: Do, _ctx: Context) -> Done:
        """Say that it is there."""
        return Done(pid=os.getpid())


class Parent(Actor):
    """Spawns idlers into its own cell."""

    may = EVERYTHING

    @receive
    async def spawn(self, message: Spawn, ctx: Context) -> Done:
        """Have as many children as it says."""
        for number in range(message.count):
            await ctx.spawn(Idler, name=f"idler-{number}", may=Grant())
        return Done(pid=os.getpid())


class Thinker(Actor):
    """Waits on a slow upstream, ten questions at once, and says so."""

    concurrency = 10

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        """Wait as a model call would; ``hang`` waits without a word."""
        if message.what == "hang":
            await anyio.sleep_forever()
        with ctx.waiting("a slow upstream", up_to=message.seconds + 30.0):
            await anyio.sleep(message.seconds * random.uniform(0.9, 1.0))  # noqa: S311 - no secret
        return Done(pid=os.getpid())
