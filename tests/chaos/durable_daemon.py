"""A real ``callboard up`` to be killed: started, looked into, harmed and stopped, each process by its own number."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

from callboard.processes import began

from .durable_agents import OFF
from .durable_ledger import Death
from .harm import children

FLEET: Final = "shop"
READY_WITHIN: Final = 40.0
STOPS_WITHIN: Final = 40.0
LOOK_EVERY: Final = 0.02
_CELL: Final = "callboard.supervisor.worker"
_TABLE: Final = """
[[actor]]
use = "chaos.durable_agents:{kind}"
name = "{name}"
open = {open}
tries = 3
[actor.intensity]
most = 1000
within = 1.0
[actor.health]
silent_after = {silent_after}
stalled_after = 60.0
drain_for = 5.0
"""


def fleet_file(log: Path, desks: tuple[str, ...], *, silent_after: float) -> str:
    """Return the file of a fleet of desks, which write their effects into `log`, and a clerk."""
    tables = [f'[fleet]\nname = "{FLEET}"\n']
    for name in desks:
        table = _TABLE.format(kind="Desk", name=name, open="true", silent_after=silent_after)
        tables.append(f'{table}[actor.options]\nlog = "{log}"\n')
    return "".join([*tables, _TABLE.format(kind="Clerk", name="clerk", open="false", silent_after=silent_after)])


class Daemon:
    """One fleet in one folder, and each of its processes since the first start."""

    def __init__(self, folder: Path, *, desks: tuple[str, ...], off: str = "", silent_after: float = 1.5) -> None:
        self.folder, self.effects = folder, folder / "effects"
        self.effects.touch()
        self._file, self._log = folder / "fleet.toml", folder / "up.log"
        self._file.write_text(fleet_file(self.effects, desks, silent_after=silent_after), encoding="utf-8")
        self._environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), OFF: off}
        self._server = f"nats-server\0-c\0{self.state}"
        self._said_before = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ever: dict[int, int | None] = {}
        self.deaths: list[Death] = []

    @property
    def state(self) -> Path:
        """The folder of the fleet's files."""
        return self.folder / ".callboard"

    # --- life

    def spawn(self) -> None:
        """Begin to start ``callboard up``."""
        with self._log.open("ab") as out:
            self._said_before = out.tell()
            command = [sys.executable, "-m", "callboard.supervisor.cli", "up", str(self._file)]
            self._process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder, env=self._environment
            )
        self._ever[self.pid] = began(self.pid)

    @property
    def pid(self) -> int:
        """The number of the daemon's process; 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    def said(self) -> str:
        """Return what it has printed since its latest start."""
        return self._log.read_bytes()[self._said_before :].decode(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    async def ready(self) -> None:
        """Wait until it serves."""
        await self.wait(lambda: "ready:" in self.said() or self.ended, "the daemon to be ready", within=READY_WITHIN)
        assert not self.ended, self.said()
        self.look()

    async def wait(self, holds: Callable[[], bool], what: str, *, within: float = 20.0) -> None:
        """Wait for a condition, with a deadline."""
        end = time.monotonic() + within
        while not holds():
            assert time.monotonic() < end, f"waited {within} s for {what}\n{self.said()[-3000:]}"
            await anyio.sleep(LOOK_EVERY)

    async def stop(self) -> None:
        """Have it end in order."""
        if self._process is not None and self._process.poll() is None:
            self.look()
            self._process.send_signal(signal.SIGTERM)
            await self.wait(lambda: self.ended, "the daemon to stop", within=STOPS_WITHIN)

    # --- harm

    def kill(self) -> None:
        """SIGKILL to the daemon: its guardian ends the rest."""
        if self._process is not None and self._process.poll() is None:
            self.look()
            self.deaths.append(Death(self.pid, time.monotonic()))
            self._process.kill()
            self._process.wait()

    def harm(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to one of its processes."""
        self.deaths.append(Death(pid, time.monotonic()))
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    # --- looking

    def look(self) -> list[int]:
        """Return its processes, and remember them."""
        found = children(self.pid) if self.pid and not self.ended else []
        self._ever.update((pid, began(pid)) for pid in found)
        return found

    def cells(self) -> list[int]:
        """Return its cells."""
        return [pid for pid in self.look() if _runs(pid, _CELL)]

    def server(self) -> int:
        """Return its nats-server; 0 while there is none."""
        return next((pid for pid in self.look() if _runs(pid, "nats-server")), 0)

    def left(self) -> list[int]:
        """Return those of its processes that have not ended, and whatever runs in its folder."""
        known = {pid for pid, at in self._ever.items() if at is not None and began(pid) == at}
        return sorted(pid for pid in known | self._here() if not _is_over(pid))

    def _here(self) -> set[int]:
        found = set[int]()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (entry / "cwd").readlink() == self.folder.resolve() or _runs(int(entry.name), self._server):
                    found.add(int(entry.name))
        return found - {os.getpid()}


def _runs(pid: int, program: str) -> bool:
    with suppress(OSError):
        return program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _is_over(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    return True
