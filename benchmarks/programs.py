"""A side in a process of its own that does both ends itself: other libraries' actors, told on a pipe what to do."""

import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Final

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from callboard.guardian import CELLS, Guardian

from .names import AUTOGEN, ERLANG, PYKKA, THESPIAN, XOSCAR

PEERS: Final = Path(__file__).parent / "peers"
AUTOGEN_PYTHON: Final = Path(__file__).parents[1] / ".venv-autogen" / "bin" / "python"
"""autogen-core wants another protobuf than the rest: it has an environment of its own."""
ANSWER_WITHIN: Final = 30.0
END_WITHIN: Final = 3.0
_LINE: Final = 100


def programs_here() -> dict[str, list[str]]:
    """Return the other actor systems that are installed here, and how each is run."""
    found = {
        name: [sys.executable, str(PEERS / f"{name}_peer.py")]
        for name in (PYKKA, THESPIAN, XOSCAR)
        if find_spec(name) is not None
    }
    if AUTOGEN_PYTHON.exists():
        found[AUTOGEN] = [str(AUTOGEN_PYTHON), str(PEERS / "autogen_peer.py")]
    if escript := which("escript"):
        found[ERLANG] = [escript, str(PEERS / "erlang_peer.escript")]
    return found


class Program:
    """Tells and asks inside another process."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        assert process.stdout is not None  # noqa: S101 - asked for below
        self._out = BufferedByteReceiveStream(process.stdout)

    async def ready(self) -> None:
        """Wait until it has set itself up."""
        await self._line()

    async def _line(self) -> str:
        with anyio.fail_after(ANSWER_WITHIN):
            return (await self._out.receive_until(b"\n", _LINE)).decode().strip()

    async def _do(self, what: str, count: int) -> int:
        assert self._process.stdin is not None  # noqa: S101 - asked for below
        await self._process.stdin.send(f"{what} {count}\n".encode())
        return int(await self._line())

    async def tell(self, count: int) -> int:
        """Have it send notes to its own actor; return how many were handled."""
        return await self._do("tell", count)

    async def ask(self, number: int) -> int:
        """Raise: one question over the pipe would measure the pipe."""
        raise NotImplementedError(f"question {number}: a program is asked many at a time")

    async def ask_many(self, count: int) -> int:
        """Have it ask so many questions, 64 at a time; return how many were answered right."""
        return await self._do("ask", count)


@asynccontextmanager
async def open_program(command: Sequence[str], *, guardian: Guardian) -> AsyncIterator[Program]:
    """Run a peer for the time of the block."""
    process = await anyio.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None)
    guardian.add(process.pid, stage=CELLS)
    try:
        program = Program(process)
        await program.ready()
        yield program
    finally:
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(END_WITHIN):
                process.terminate()
                await process.wait()
            if process.returncode is None:
                process.kill()
            await process.aclose()
        guardian.remove(process.pid)
