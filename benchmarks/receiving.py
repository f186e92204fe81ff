"""A receiver in a process of its own, from both ends: how the harness runs it, and how it serves.

Its order, the server's URL with the login, goes over standard input: no secret stands in arguments or environment. The
end of that pipe ends it, so it cannot outlive the harness.
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import anyio
import anyio.to_thread
from anyio.streams.text import TextReceiveStream

from callboard.guardian import CELLS, Guardian

READY: Final = "ready\n"
READY_WITHIN: Final = 15.0
END_WITHIN: Final = 3.0


class ReceiverFailed(Exception):
    """A receiver's process did not begin to serve."""


@asynccontextmanager
async def receiver(module: str, url: str, *, guardian: Guardian) -> AsyncIterator[None]:
    """Run ``python -m module`` for the time of the block; it serves when the block begins."""
    process = await anyio.open_process(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
    )
    guardian.add(process.pid, stage=CELLS)
    try:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - asked for above
        await process.stdin.send(f"{url}\n".encode())
        await _wait_ready(TextReceiveStream(process.stdout), module)
        yield
    finally:
        with anyio.CancelScope(shield=True):  # bounded: END_WITHIN, then KILL
            await _end(process)
        guardian.remove(process.pid)


async def _wait_ready(out: TextReceiveStream, module: str) -> None:
    said = ""
    try:
        with anyio.fail_after(READY_WITHIN):
            while not said.endswith(READY):
                said += await out.receive()
    except (TimeoutError, anyio.EndOfStream) as error:
        raise ReceiverFailed(f"{module} was not ready within {READY_WITHIN} s; it said {said!r}") from error


async def _end(process: anyio.abc.Process) -> None:
    with anyio.move_on_after(END_WITHIN) as patience:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    if patience.cancelled_caught:
        process.kill()
        await process.wait()
    await process.aclose()


def serve(opened: Callable[[str], AbstractAsyncContextManager[None]]) -> None:
    """Run a receiver in this process, under uvloop, until standard input ends."""
    anyio.run(_serve, opened, backend_options={"use_uvloop": True})


async def _serve(opened: Callable[[str], AbstractAsyncContextManager[None]]) -> None:
    url = (await anyio.to_thread.run_sync(sys.stdin.readline)).strip()
    async with opened(url):
        print(READY, end="", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
