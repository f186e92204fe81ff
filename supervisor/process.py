"""One cell's operating-system process: started, watched by pidfd, ended TERM then KILL.

The child gets what it must know as one line on its standard input, so that no secret is in its arguments or its
environment. The pipe stays open for life: its end tells the child that the daemon has gone.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import anyio
import anyio.to_thread
import msgspec

from callboard.actors.embedding import EmbedderTable
from callboard.actors.llm import LlmConfig
from callboard.guardian import Guardian
from callboard.names import LOCAL_MODEL, OFFICE

from .access import Access
from .config import ActorTable
from .formation import CellTable

LOG_MOST: Final = 10 * 1024 * 1024
BUS_LOST: Final = 75
"""Exit code of a cell that ended itself because its connection was gone (EX_TEMPFAIL)."""
ESCALATED: Final = 70
"""Exit code of a cell that ended itself because its actors were given up (EX_SOFTWARE)."""


class CellOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell process is told at its start."""

    fleet: str
    cell: str
    epoch: int
    access: Access
    state: str
    flight: str
    """Where it writes what it has received and not finished."""
    dump: str
    """Where it writes its stack when it is asked for it."""
    home: str
    homes: dict[str, str]
    actors: list[ActorTable]
    formation: CellTable | None = None
    durable: bool = True
    """Whether its NATS keeps queues for us."""
    local: bool = True
    """Whether what its actors say to each other stays in the process."""
    memory: EmbedderTable = EmbedderTable()
    llm: LlmConfig = LlmConfig()
    held: list[str] = []
    """Actors that a person holds: they take no messages until they are revived."""
    fences: dict[str, int] = {}
    """For each cell the epoch below which nothing is believed."""
    quarantined: dict[str, dict[str, float]] = {}
    """For each actor the contents that it must not meet again, and until when (Unix seconds)."""


class CellProcess:
    """A running child. `wait` in one task at a time; `send` from any."""

    def __init__(self, order: CellOrder, log: Path, guardian: Guardian) -> None:
        self._guardian = guardian
        with _opened(log) as out:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "callboard.supervisor.worker"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(order),
            )
        self.pid = self._popen.pid
        try:
            guardian.add(self.pid, stage=0, name=f"cell {order.cell} (epoch {order.epoch})")
            self.pidfd = os.pidfd_open(self.pid)
            """Of the process until it was reaped, then -1."""
        except BaseException:
            self._popen.kill()  # nobody would watch it, nor end it with us
            self._popen.wait()
            raise
        self._send(msgspec.json.encode(order) + b"\n")

    def _send(self, line: bytes) -> None:
        assert self._popen.stdin is not None  # noqa: S101 - asked for above
        try:
            self._popen.stdin.write(line)
            self._popen.stdin.flush()
        except BrokenPipeError:
            return  # it died at once: wait() will tell

    async def wait(self) -> int:
        """Wait for the end and return the exit code; negative is the signal that killed it."""
        await anyio.wait_readable(self.pidfd)
        with suppress(OSError):  # its group is empty, as a rule
            os.killpg(self.pid, signal.SIGKILL)  # what it has forked; before it is reaped, the number is surely its own
        code = self._popen.wait()  # it has ended: this only reaps
        self._guardian.remove(self.pid)
        pidfd, self.pidfd = self.pidfd, -1  # the number may be another file's at once
        os.close(pidfd)
        if self._popen.stdin is not None:
            self._close(self._popen.stdin)
        return code

    def _close(self, pipe: IO[bytes]) -> None:
        try:
            pipe.close()
        except BrokenPipeError:
            return  # what it had not read died with it

    def send(self, number: signal.Signals) -> None:
        """Send a signal through the pidfd, so never to another process with the same number."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except OSError:
            return  # it has ended already


def _environment(order: CellOrder) -> dict[str, str]:
    """Return the environment of a cell: those of the runtime itself do not see the keys of models."""
    if order.cell not in (OFFICE, LOCAL_MODEL):
        return dict(os.environ)
    keys = {order.memory.key_env, *(table.key_env for table in order.llm.endpoints)}
    return {name: value for name, value in os.environ.items() if name not in keys}


def _opened(log: Path) -> IO[bytes]:
    if log.exists() and log.stat().st_size > LOG_MOST:
        log.replace(log.with_suffix(".log.1"))
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def describe(code: int) -> str:
    """Return an exit code in words."""
    if code < 0:
        named = {number.value: number.name for number in signal.Signals}  # not all: most real-time ones have no name
        return f"killed by {named.get(-code, f'signal {-code}')}"
    words = {
        0: "ended", BUS_LOST: "ended itself: its connection to the bus was lost",
        ESCALATED: "ended itself: its actors were given up",
    }  # fmt: skip
    return words.get(code, f"exit code {code}")


def last_line(log: Path) -> str:
    """Return the last line that a process wrote to its log, at most 300 characters; blocks on the disk."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return "nothing is in its log"
    told = (line.strip(" |+-\t\r")[:300] for line in reversed(lines))  # without the frame of an exception group
    return next(filter(None, told), "nothing is in its log")
