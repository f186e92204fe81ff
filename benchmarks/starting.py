"""How long a person waits: for the help, and from ``callboard up`` to the first answer."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from callboard import CallboardError, Client

from .limits import Limit, Measured, rows_of
from .patients import Do
from .report import Row

COMMAND: Final = (sys.executable, "-m", "callboard.supervisor.cli")
HELPS, STARTS = 20, 5
WITHIN: Final = 20.0
HELP: Final = Limit("callboard --help", "ms", 150.0)
UP: Final = Limit("callboard up, to the first answer", "ms", 1500.0)
_FLEET: Final = '[fleet]\nname = "bench-up"\n[[actor]]\nuse = "benchmarks.patients:Patient"\n'


async def measure_starting(only: str, say: Callable[[str], None]) -> list[Row]:
    """Return the rows of the two whose name holds `only`."""
    rows: list[Row] = []
    if only in HELP.work:
        values = [await anyio.to_thread.run_sync(_help) for _ in range(HELPS)]
        say(f"{HELP.work}: {sorted(round(value) for value in values)} ms")
        rows += rows_of(HELP, Measured(values))
    if only in UP.work:
        values = [await _up() for _ in range(STARTS)]
        say(f"{UP.work}: {sorted(round(value) for value in values)} ms")
        rows += rows_of(UP, Measured(values))
    return rows


def _help() -> float:
    begin = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
    return (time.perf_counter() - begin) * 1e3


async def _up() -> float:
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as name:
        folder = Path(name)
        (folder / "fleet.toml").write_text(_FLEET, encoding="utf-8")
        begin = time.perf_counter()
        command = [*COMMAND, "up", str(folder / "fleet.toml"), "--state", str(folder)]
        async with await anyio.open_process(command, stdin=None, stdout=subprocess.DEVNULL, stderr=None) as process:
            try:
                await _first_answer(folder)
                return (time.perf_counter() - begin) * 1e3
            finally:
                process.terminate()


async def _first_answer(folder: Path) -> None:
    with anyio.fail_after(WITHIN):
        while True:
            try:
                async with Client.connect("bench-up", state=folder) as client:
                    await client.ask("patient", Do(), timeout=WITHIN)
                    return
            except CallboardError:
                await anyio.sleep(0.01)  # nobody is there yet
