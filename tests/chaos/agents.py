"""The agents of a chaos run: they write down what they handle, and do whatever harm they are told."""

import ctypes
import os
import random
import time

import anyio
import msgspec

from callboard import Actor, Context, Message, receive
from callboard.actors import Grant


class Book(msgspec.Struct, frozen=True):
    """Where they write, and whom they pass work to."""

    log: str
    next: str = ""


class Job(Message):
    """A piece of work with a name of its own."""

    name: str
    harm: str = ""
    seconds: float = 0.0


class Done(Message):
    """It was done, here."""

    name: str
    pid: int


class Worker(Actor):
    """Does jobs, passes some on, and harms itself when told to."""

    may = Grant(ask=("*",), tell=("*",))
    Options = Book
    options: Book

    def __init__(self) -> None:
        self._grown: list[bytes] = []

    @receive
    async def job(self, message: Job, ctx: Context) -> Done:
        """Do a job, and write down that it was done."""
        await self._harm(message)
        if message.seconds and not message.harm:
            with ctx.waiting("something slow", up_to=message.seconds + 30.0):
                await anyio.sleep(message.seconds)
        self._write(message.name)
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
