"""What is done to processes: the server's, and the machine's."""

import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import anyio


def children(pid: int) -> list[int]:
    """Return who was started by `pid`."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def go_on(pid: int) -> None:
    """Let a stopped process go on, if it was not replaced meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _server() -> int:
    for pid in children(os.getpid()):
        try:
            if b"nats-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except OSError:
            continue
    return 0


async def harm_server(number: signal.Signals, pause: float) -> None:
    """Kill the server that this process has started, or have it stand still for `pause` seconds."""
    if pid := _server():
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            await anyio.sleep(pause)
            go_on(pid)


async def spin(seconds: float) -> None:
    """Keep twice as many processors busy as there are here."""
    async with AsyncExitStack() as stack:
        for _ in range(4):
            command = [sys.executable, "-c", "while True: pass"]
            process = await anyio.open_process(command, stdin=None, stdout=None, stderr=None)
            stack.push_async_callback(process.wait)  # or its remains would look like an orphan
            stack.callback(process.kill)
        await anyio.sleep(seconds)
