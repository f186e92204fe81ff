"""One process run to its end: bounded in time and output, in an environment of its own, without a shell.

It is killed when its time is up, when it says too much, and when the caller is cancelled. When this process
is killed, the other meets the end of its standard input or a broken pipe; none is started that would outlive
those for long.
"""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import anyio
from anyio.abc import Process

from .errors import SaidTooMuch, TookTooLong, ToolFailed, ToolMissing

S = TypeVar("S")

_STDERR_KEPT: Final = 4096


class Finished(NamedTuple):
    """What a process left behind; `code` is negative for the signal that ended it."""

    code: int
    stdout: bytes
    stderr: bytes


async def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: str,
    stdin: bytes,
    seconds: float,
    most: int,
) -> Finished:
    """Run `command` with `stdin` as its input and return how it ended.

    Args:
        command: program and arguments.
        environment: all of its environment.
        cwd: its working directory.
        stdin: its whole input.
        seconds: after which it is killed.
        most: bytes of output after which it is killed.

    Raises:
        ToolMissing: the program cannot be started.
        TookTooLong, SaidTooMuch: it was killed at that limit.

    """
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
        )
    except OSError as error:
        raise ToolMissing(f"{command[0]!r} cannot be started: {error.strerror}") from error
    async with process:
        return await _Run(process, name=command[0], most=most).finish(stdin, seconds=seconds)


class _Run:
    def __init__(self, process: Process, *, name: str, most: int) -> None:
        self._process = process
        self._name = name
        self._most = most
        self._out: list[bytes] = []
        self._size = 0
        self._err = b""

    async def finish(self, stdin: bytes, *, seconds: float) -> Finished:
        try:
            with anyio.move_on_after(seconds) as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._feed, stdin)
                    group.start_soon(self._collect)
                    group.start_soon(self._complain)
                await self._process.wait()
        finally:
            self._kill()
        if self._size > self._most:
            raise SaidTooMuch(f"{self._name!r} was stopped after {self._most} bytes of output", most=self._most)
        if scope.cancelled_caught:
            raise TookTooLong(f"{self._name!r} was stopped after {seconds:g} s", seconds=seconds)
        return Finished(await self._process.wait(), b"".join(self._out), self._err)

    async def _feed(self, stdin: bytes) -> None:
        async with _pipe(self._process.stdin) as stream:
            # A process may end without reading all of its input: its exit code says why.
            with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(stdin)

    async def _collect(self) -> None:
        async for chunk in _pipe(self._process.stdout):
            self._size += len(chunk)
            if self._size > self._most:
                self._kill()
                return
            self._out.append(chunk)

    async def _complain(self) -> None:
        async for chunk in _pipe(self._process.stderr):
            self._err = (self._err + chunk)[:_STDERR_KEPT]

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and the loop has not heard yet
                self._process.kill()


def _pipe(stream: S | None) -> S:
    if stream is None:
        raise ToolFailed("a process was started without its pipes")
    return stream
