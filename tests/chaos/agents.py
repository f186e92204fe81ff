"""The agents of a chaos run: they write down what they handle, and do whatever harm they are told.

All processes of the run import this and so read the same wall clock, which the run can have jump.
"""

import ctypes
import os
import random
import time
from pathlib import Path

import anyio
import msgspec

from callboard import Actor, Context, Message, receive
from callboard.actors import Grant

from . import wall

wall.join()


class Book(msgspec.Struct, frozen=True):
    """Where they write, and under which name."""

    log: str
    name: str

    @property
    def bad_starts(self) -> Path:
        """The file that says how many starts are to fail."""
        return Path(f"{self.log}.{self.name}")


class Job(Message):
    """A piece of work with a name of its own."""

    name: str
    harm: str = ""
    seconds: float = 0.0
    then: str = ""
    """Whom to ask in turn: a neighbour in the same cell, or another."""


class Done(Message):
    """It was done, here."""

    name: str
    pid: int


class Worker(Actor):
    """Does jobs, asks others in turn, and harms itself when told to."""

    may = Grant(ask=("*",), tell=("*",))
    Options = Book
    options: Book

    def __init__(self) -> None:
        self._grown: list[bytes] = []
        file = self.options.bad_starts
        if file.exists() and (left := int(file.read_text())):
            file.write_text(str(left - 1))
            raise RuntimeError(f"cannot start; {left - 1} more times")

    @receive
    async def job(self, message: Job, ctx: Context) -> Done:
        """Do a job, and write down that it was done."""
        await self._harm(message)
        if message.seconds and not message.harm:
            with ctx.waiting("something slow", up_to=message.seconds + 30.0):
                await anyio.sleep(message.seconds)
        self._write(message.name)
        if message.then:
            await ctx.ask(message.then, Job(name=f"{message.then}:{message.name}"), reply=Done)
        return Done(name=message.name, pid=os.getpid())

    async def _harm(self, message: Job) -> None:
        if message.harm == "block":
            time.sleep(60.0)  # noqa: ASYNC251 - the harm
        elif message.harm == "spin":
            sum(range(10**12))
        elif message.harm == "segfault":
            ctypes.string_at(0)
        elif message.harm == "exit":
            os._exit(random.randint(1, 9))  # noqa: S311 - any
        elif message.harm == "raise":
            raise ValueError(message.name)
        elif message.harm == "crash":
            raise SystemExit(1)
        elif message.harm == "bad start":
            self.options.bad_starts.write_text("3")
            raise SystemExit(1)
        elif message.harm == "hang":
            await anyio.sleep(60.0)
        elif message.harm == "deaf":
            with anyio.CancelScope(shield=True):
                await anyio.sleep(60.0)
        elif message.harm == "grow":
            self._grown.append(b"x" * (300 << 20))

    def _write(self, name: str) -> None:
        """Append one line in one call: whole or not at all, also in the moment of a kill."""
        line = f"{name} {os.getpid()} {time.monotonic():.6f}\n"
        with open(self.options.log, "a", encoding="ascii") as file:  # noqa: PTH123 - one small write
            file.write(line)
