"""What a killed daemon and its killed guardian left behind: ended before the next daemon starts anything.

A cell ends by itself when its daemon is gone, and the guardian ends the others. Neither happens to a cell that was
stopped (SIGSTOP) when daemon and guardian were killed together: continued later, it would be a double. So the daemon
keeps a private file of its processes, ``processes.json``, replaced whole at each start and end of one. The next daemon
kills what it names. A process is what the file means only if it began at the same tick of the same boot: a number alone
may be another's by now.
"""

import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from callboard.background import background
from callboard.guardian import SERVERS, OnChange, Stage, Ward
from callboard.processes import began

from .errors import StateUnusable
from .records import Records
from .state import write_private
from .verdict import STOPPED
from .watch import state_of

ENDS_WITHIN: Final = 2.5
"""Seconds a process has to end in order, as it does by itself when its daemon is gone."""
KILLED_WITHIN: Final = 5.0
ENDED: Final = "Z"
"""The state of a process that has ended, and that nobody has reaped."""


class Remnant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process of the daemon."""

    pid: int
    began: int
    stage: Stage
    name: str


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``processes.json``."""

    boot: str
    processes: list[Remnant]


def write_ledger(file: Path, known: Mapping[int, Ward]) -> None:
    """Replace the file, whole or not at all; blocks on the disk."""
    seen = ((pid, ward, began(pid)) for pid, ward in known.items())
    processes = [
        Remnant(pid=pid, began=at, stage=ward.stage, name=ward.name) for pid, ward, at in seen if at is not None
    ]
    with suppress(OSError):  # a full disk must keep no cell from starting: the guardian knows it too
        write_private(file, msgspec.json.encode(Ledger(boot=_boot(), processes=processes)))


class _Keeper:
    """Writes the file after each change, off the event loop; of changes that come together, the last one."""

    def __init__(self, file: Path) -> None:
        self._file, self._known, self._changed = file, dict[int, Ward](), anyio.Event()

    def note(self, known: Mapping[int, Ward]) -> None:
        self._known = dict(known)
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self.write()

    async def write(self) -> None:
        await anyio.to_thread.run_sync(write_ledger, self._file, self._known)


@asynccontextmanager
async def keep_ledger(file: Path) -> AsyncGenerator[OnChange]:
    """Keep the file for the time of the block; yields what the guardian is to call at each change."""
    keeper = _Keeper(file)
    try:
        async with background() as tasks:
            tasks.start_soon(keeper.run)
            yield keeper.note
    finally:
        with anyio.CancelScope(shield=True):  # one small file
            await keeper.write()


def read_ledger(file: Path) -> list[Remnant]:
    """Return those processes of the file that live, none if there is no file; blocks on the disk.

    Raises OSError or MsgspecError if it cannot be read.
    """
    try:
        ledger = msgspec.json.decode(file.read_bytes(), type=Ledger)
    except FileNotFoundError:
        return []
    same_boot = ledger.boot == _boot()
    living = [each for each in ledger.processes if state_of(each.pid) != ENDED and began(each.pid) == each.began]
    return living if same_boot else []


async def end_remains(file: Path, records: Records) -> None:
    """End what a killed daemon left: its cells first, then its server; returns when all are gone.

    Raises :class:`StateUnusable` if one outlives SIGKILL: to start its actors a second time would be worse.
    """
    try:
        left = await anyio.to_thread.run_sync(read_ledger, file)
    except (OSError, msgspec.MsgspecError) as error:  # to refuse to start for it would help nobody
        await records.add("remains-unknown", file.name, f"what a killed daemon left is not known: {error}")
        return
    for stage in sorted({each.stage for each in left}):
        async with anyio.create_task_group() as tasks:
            for each in left:
                if each.stage == stage:
                    tasks.start_soon(_end, each, records)


async def _end(left: Remnant, records: Records) -> None:
    pidfd = _open(left)
    if pidfd is None:
        return
    try:
        how = await _ended(pidfd, left)
    finally:
        os.close(pidfd)
    text = f"{left.name}, process {left.pid} of a daemon that was killed, was still there: {how}"
    await records.add("remains-ended", left.name, text, {"pid": left.pid})


def _open(left: Remnant) -> int | None:
    """Return a pidfd of the very process that is meant."""
    try:
        pidfd = os.pidfd_open(left.pid)
    except OSError:
        return None
    if began(left.pid) == left.began:  # asked after the pidfd was opened: it can be no other from now on
        return pidfd
    os.close(pidfd)
    return None


async def _ended(pidfd: int, left: Remnant) -> str:
    if state_of(left.pid) not in STOPPED:
        if left.stage == SERVERS:
            _send(pidfd, signal.SIGTERM)
        if await _gone(pidfd, within=ENDS_WITHIN):
            return "it ended in order"
    stopped = state_of(left.pid) in STOPPED
    _send(pidfd, signal.SIGKILL)
    if await _gone(pidfd, within=KILLED_WITHIN):
        return f"{'it was stopped, and is' if stopped else 'it did not end by itself, and was'} killed"
    text = f"{left.name} of a killed daemon (process {left.pid}) outlives SIGKILL: look at the disk"
    raise StateUnusable(text, pid=left.pid)


def _send(pidfd: int, number: signal.Signals) -> None:
    with suppress(OSError):  # it has ended
        signal.pidfd_send_signal(pidfd, number)


async def _gone(pidfd: int, *, within: float) -> bool:
    with anyio.move_on_after(within):
        await anyio.wait_readable(pidfd)
        return True
    return False


@cache
def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
