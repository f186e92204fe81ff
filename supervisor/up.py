"""``callboard up`` and ``down``: a daemon from ready to the last line it prints."""

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio

from callboard.background import background
from callboard.bus import DeadlineExceeded
from callboard.clock import SystemClock
from callboard.store import Event

from .client import Client
from .config import load_fleet
from .daemon import Daemon, run_daemon
from .errors import NoSuchDaemon
from .messages import Stop
from .service import Supervisor
from .state import StateDirectory, find_daemon, root_of
from .systemd import ServiceManager


async def run_up(fleet_file: Path, *, state: Path | None, seconds: float | None, binary: Path | None) -> None:
    """Run the fleet of `fleet_file` until told to stop, or for `seconds`."""
    config = load_fleet(fleet_file)
    directory = StateDirectory(root_of(state, config.home), config.name)
    manager = ServiceManager.from_environment()
    async with (
        background() as keeping,
        _signals() as signals,
        run_daemon(config, directory, binary=binary) as daemon,
    ):
        keeping.start_soon(manager.feed, SystemClock())  # until the last process has ended
        keeping.start_soon(_obey, signals, daemon)  # the same: a second signal must not end it in the middle
        daemon.records.listeners.append(_print_event)
        async with anyio.create_task_group() as tasks:
            if seconds is not None:
                tasks.start_soon(_stop_after, daemon, seconds)
            tasks.start_soon(_say_ready, daemon, manager)
            await daemon.stopped.wait()
            tasks.cancel_scope.cancel()
        manager.stopping(daemon.why_stopped)
        _say(f"stopping: {daemon.why_stopped}")


async def _say_ready(daemon: Daemon, manager: ServiceManager) -> None:
    await daemon.wait_ready()
    at = daemon.whereabouts
    status = f"fleet {at.fleet}, {len(daemon.config.agents)} actors in {len(daemon.charges)} cells, pid {at.pid}"
    manager.ready(status)
    _say(f"ready: {status}")
    _say(f"  bus      {at.url}")
    if at.guest is not None:
        _say(f"  guest    nats --creds {daemon.state.guest_file}")
        _say(f"  front    cb.{at.fleet}.to.<actor>   open: {', '.join(_open(daemon)) or 'none'}")
    if at.monitor:
        _say(f"  monitor  {at.monitor}")
    _say(f"  permissions: {daemon.gate.warden.enforced}")


def _open(daemon: Daemon) -> list[str]:
    return [spec.name for spec in daemon.config.actors if spec.open]


@asynccontextmanager
async def _signals() -> AsyncGenerator[AsyncIterator[signal.Signals]]:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        yield signals


async def _obey(signals: AsyncIterator[signal.Signals], daemon: Daemon) -> None:
    async for number in signals:
        if daemon.stopped.is_set():
            _say("stopping already: what is in hand may end, within its drain_for")
        daemon.stop(f"told to by {signal.Signals(number).name}")


async def _stop_after(daemon: Daemon, seconds: float) -> None:
    await anyio.sleep(seconds)
    daemon.stop(f"--for {seconds} is over")


def _print_event(event: Event) -> None:
    at = datetime.fromtimestamp(event.at, tz=UTC).astimezone().strftime("%H:%M:%S")
    _say(f"{at} {event.kind:<16} {event.subject}: {event.text}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's output


async def run_down(fleet: str, *, state: Path | None, timeout: float) -> None:
    """Tell the running daemon to stop, and wait until its process has ended.

    Raises:
        NoSuchDaemon: none runs.
        DeadlineExceeded: it was told, and still drains after `timeout` seconds.

    """
    at = find_daemon(fleet=fleet, state=state)
    try:
        watched = os.pidfd_open(at.pid)
    except ProcessLookupError as error:
        raise NoSuchDaemon(f"the daemon (pid {at.pid}) has just ended", pid=at.pid) from error
    try:
        async with Client.connect(at.fleet, state=state) as client:
            await client.command(Supervisor.stop, Stop(), timeout=10.0)
        with anyio.fail_after(timeout):
            await anyio.wait_readable(watched)
    except TimeoutError as error:
        still = f"the daemon (pid {at.pid}) was told to stop and has not ended within {timeout} s: it drains"
        raise DeadlineExceeded(still, pid=at.pid) from error
    finally:
        os.close(watched)
