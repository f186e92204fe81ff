"""An embedded nats-server: one process, one directory, nothing to install.

Rules of the file:

1. The directory belongs to one server at a time, by a lock on ``nats.log``. That open file is the server's
   own output, so the lock lasts exactly as long as the server, whatever became of who started it. The port
   cannot stand in for it: a server opens its store before its port, and leaves its port before its store.
2. Ports and logins are made once and kept: clients find the server again after a restart. Ports lie outside
   the range of outgoing connections, where a client that retries a dead server could come to hold its port.
3. Ready means: healthy on the monitor port, and there on the client port under the name of this very start.
4. The process is signalled and reaped through its pidfd, in one place: :class:`~.server_process.Process`.
5. Seeds stand in files of mode 0600 and nowhere else: no argument, no environment, no log.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self, TypeVar

import anyio
import msgspec
from anyio import to_thread

from callboard.errors import CallerError
from callboard.guardian import Guardian
from callboard.names import checked

from . import monitor
from .claims import Credentials
from .connection import Connection, ConnectOptions
from .errors import BusUnavailable, PortTaken, ServerFailed
from .ports import LOOPBACK, is_free, pick_ports, who_listens
from .realm import Kept, Realm
from .server_config import MOST_MEMORY, MOST_STORE, Ports, ServerConfig
from .server_log import LOG_MOST, ServerLog
from .server_process import Process, find_binary, spawn

LEAST_STORE: Final = 16 * 1024**2
_PORT_RETRIES: Final = 4
_PREDECESSOR_WITHIN: Final = 5.0
_READY_STEP: Final = 0.01
_HELD_STEP: Final = 0.05
_TOLD_WITHIN: Final = 2.0
_TAKEN: Final = 200
_IN_USE: Final = "address already in use"

_T = TypeVar("_T")


class NatsServer:
    """A nats-server that lives as long as the block that opened it.

    After an exit it stays down: who waits in :meth:`wait_exited` decides on :meth:`restart`. That is one task, which
    alone may stop or restart it; others may :meth:`kill` its process, or have it end.
    """

    _ports: Ports
    realm: Realm
    """Who may come in."""

    def __init__(
        self,
        directory: Path,
        *,
        fleet: str,
        binary: Path | None,
        guardian: Guardian | None,
        ready_within: float,
    ) -> None:
        self._directory = directory.absolute()
        self._log = ServerLog(self._directory / "nats.log")
        self._ports_file = self._directory / "ports.json"
        self._what = f"the nats-server of fleet {checked(fleet, 'fleet')!r}"
        self._fleet, self._binary, self._guardian, self._ready_within = fleet, binary, guardian, ready_within
        self._process: Process | None = None
        self._has_realm = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        *,
        fleet: str,
        binary: Path | None = None,
        guardian: Guardian | None = None,
        ready_within: float = 10.0,
    ) -> AsyncGenerator[Self]:
        """Run a server in `directory` for the time of the block; it is ready when the block begins.

        Args:
            directory: made if it is missing, and closed to other users (mode 0700) if it is not.
            fleet: whose front doors the guest login may use.
            binary: the nats-server to run; None is the one installed with Callboard.
            guardian: ends the server if this process is killed; without one it would stay.
            ready_within: seconds from the start of the process until it must serve.

        Raises:
            ServerMissing: there is no such program, or it cannot be executed.
            PortTaken: a port kept from an earlier start was still in use after 5 s.
            ServerFailed: it ended, or was not ready in time, or the directory is unusable.

        """
        server = cls(directory, fleet=fleet, binary=binary, guardian=guardian, ready_within=ready_within)
        try:
            await server._start()
            yield server
        finally:
            await server.stop()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{LOOPBACK}:{self._ports.client}"

    @property
    def monitor_url(self) -> str:
        """Where the server tells of itself over HTTP."""
        return f"http://{LOOPBACK}:{self._ports.monitor}"

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        return self._started().pid

    def options(self, who: Credentials | None = None, *, name: str = "callboard") -> ConnectOptions:
        """Return how one connects as `who`; default: as the owner, who may do everything in the fleet's account."""
        realm = self.realm
        return ConnectOptions(url=self.url, credentials=who or realm.owner, secret=realm.secret, name=name)

    async def wait_exited(self) -> int:
        """Wait until the process of the latest start has ended; return its exit code, or minus its signal."""
        return await self._started().wait()

    @property
    def runs(self) -> bool:
        """Whether the process of the latest start has not ended."""
        return self._started().code is None

    async def answers(self) -> bool:
        """Return whether it says anything at all within a second."""
        return await monitor.answers(self._ports.monitor)

    async def fault(self) -> str:
        """Return why it can store nothing more, in its own words; empty while it can, or when it says nothing.

        A stream that could not be written once, on a full or failing disk, stays shut until the server is started anew.
        """
        return await monitor.write_fault(self._ports.monitor)

    async def traffic(self) -> dict[str, monitor.Traffic] | None:
        """Return what each user does who is connected, by public key; None if the server does not say in time."""
        return await monitor.traffic(self._ports.monitor)

    def kill(self) -> None:
        """End it at once: for one that hears nothing else."""
        self._started().kill()

    async def end(self, pid: int) -> bool:
        """Have process `pid` end, if it is that of the latest start: SIGTERM, and SIGKILL after 5 s.

        Return whether it is gone 5 s later. It stays down as after an exit of its own.
        """
        process = self._started()
        return process.pid != pid or await process.end()

    async def stop(self) -> None:
        """End the server: SIGTERM, and SIGKILL after 5 s; done when it has been reaped. Not cancellable.

        Raises:
            ServerFailed: it outlived SIGKILL by 5 s.

        """
        if self._process is None:
            return
        with anyio.CancelScope(shield=True):  # bounded: twice the grace
            if not await self._process.end():
                raise ServerFailed(f"{self._what} (process {self.pid}) outlives SIGKILL: look at the disk")

    async def restart(self) -> None:
        """Stop it if it runs, and start it again on the same ports; raises what :meth:`open` raises."""
        await self.stop()
        await self._start()

    async def log_tail(self) -> str:
        """Return the last lines, twelve at most, that the server has written since its latest start."""
        return await to_thread.run_sync(self._log.tail)

    async def read_log(self) -> list[str]:
        """Return the lines that were written since this was called last; one task may call it."""
        return await to_thread.run_sync(self._log.new_lines)

    def _started(self) -> Process:
        if self._process is None:
            raise CallerError(f"{self._what} has not been started: use 'async with NatsServer.open(...)'")
        return self._process

    async def _start(self) -> None:
        try:
            binary = await to_thread.run_sync(find_binary, self._binary)
            await to_thread.run_sync(_make_private, self._directory)
            log = os.open(self._log.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                await self._own(log)
                kept = await to_thread.run_sync(self._load)
                await self._launch(binary, log, ports_are_kept=kept)
            finally:
                os.close(log)
        except OSError as error:
            raise ServerFailed(f"{self._what} cannot use {self._directory}: {error}") from error

    async def _own(self, log: int) -> None:
        if not await _within(_PREDECESSOR_WITHIN, lambda: _try_lock(log)):
            raise ServerFailed(
                f"{self._directory} still belongs to another nats-server: end what runs fleet "
                f"{self._fleet!r}, or use another state directory"
            )
        if os.fstat(log).st_size > LOG_MOST:
            os.ftruncate(log, 0)

    def _load(self) -> bool:
        """Read the logins and ports, or make them; return whether the ports were there."""
        kept_file = self._directory / "logins.json"
        kept, ports = _kept(kept_file, Kept), _kept(self._ports_file, Ports)
        if kept is None:
            kept = Kept.new()
            _write(kept_file, msgspec.json.encode(kept))
        if not self._has_realm:
            self.realm, self._has_realm = Realm(self._fleet, kept), True
        if ports is None:
            self._choose_ports()
        else:
            self._ports = ports
        return ports is not None

    def _choose_ports(self) -> None:
        self._ports = pick_ports()
        _write(self._ports_file, msgspec.json.encode(self._ports))

    async def _launch(self, binary: Path, log: int, *, ports_are_kept: bool) -> None:
        if ports_are_kept and not await _within(_PREDECESSOR_WITHIN, lambda: self._busy_port() is None):
            raise await self._taken()
        for _ in range(0 if ports_are_kept else _PORT_RETRIES):
            with suppress(PortTaken):  # somebody was faster than the server, and nobody knows these ports yet
                return await self._run(binary, log)
            await to_thread.run_sync(self._choose_ports)
        return await self._run(binary, log)

    async def _run(self, binary: Path, log: int) -> None:
        name = f"callboard-{self._fleet}-{secrets.token_hex(4)}"
        conf = self._directory / "nats.conf"
        self._storage = await to_thread.run_sync(room_for, self._directory)
        await to_thread.run_sync(self._configure, conf, name)
        self._log.begin(os.fstat(log).st_size)
        # No await between the start of the process and its registration: nothing may be cancelled there.
        self._process = process = Process(spawn([binary, "-c", conf], log), self._guardian)
        process.register()
        with anyio.move_on_after(self._ready_within):
            while process.code is None:
                if await monitor.is_ready(self._ports.client, self._ports.monitor, name=name):
                    return
                await anyio.sleep(_READY_STEP)
        raise await self._not_ready(process.code)

    def _configure(self, conf: Path, name: str) -> None:
        """Write the configuration, and forget what an earlier server was told of accounts: all is in there."""
        tokens = self._directory / "accounts"
        shutil.rmtree(tokens, ignore_errors=True)
        config = ServerConfig(
            server_name=name,
            ports=self._ports,
            store_dir=str(self._directory),
            operator=self.realm.operator,
            system=self.realm.system,
            accounts=self.accounts(),
            tokens_dir=str(tokens),
            max_file_store=self._storage,
        )
        _write(conf, config.text().encode())

    def accounts(self) -> dict[str, str]:
        """Return the tokens of the accounts as the server should know them, by public key."""
        return self.realm.accounts(storage=self._storage, memory=MOST_MEMORY)

    async def _not_ready(self, code: int | None) -> ServerFailed | PortTaken:
        await self.stop()
        log = await self.log_tail()
        if _IN_USE in log:
            return await self._taken()
        how = f"was not ready within {self._ready_within} s" if code is None else f"ended with code {code}"
        return ServerFailed(f"{self._what} {how}; the end of {self._log.path}:\n{log}", exit_code=code, log=log)

    def _busy_port(self) -> int | None:
        return next((port for port in (self._ports.client, self._ports.monitor) if not is_free(port)), None)

    async def _taken(self) -> PortTaken:
        port = self._busy_port() or self._ports.client
        who = await to_thread.run_sync(who_listens, port)
        text = (
            f"port {port} of {self._what} is in use by {who}: end that process, or delete {self._ports_file} "
            "so that the next start chooses other ports"
        )
        return PortTaken(text, port=port)


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o077:
        directory.chmod(0o700)


def _kept(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ServerFailed(f"{path} is damaged ({error}): delete it, the next start makes another") from error


def _write(path: Path, data: bytes) -> None:
    """Replace the file at once, for its owner only; after a power cut it is the old or the new one."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _try_lock(file: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


async def _within(seconds: float, done: Callable[[], bool]) -> bool:
    with anyio.move_on_after(seconds):
        while not done():  # noqa: ASYNC110 - another process does it, and sends no event
            await anyio.sleep(_HELD_STEP)
        return True
    return done()


class _Told(msgspec.Struct, frozen=True):
    code: int = 0


class _Answer(msgspec.Struct):
    data: _Told = _Told()


async def tell_account(bus: Connection, server: NatsServer) -> None:
    """Tell a server what has changed in the fleet's account, over a connection to its system account.

    Raises BusUnavailable: it did not answer, or did not take it; then it may know nothing of it.
    """
    token = server.accounts()[server.realm.fleet_account]
    answer = await bus.jetstream.ask("$SYS.REQ.CLAIMS.UPDATE", token.encode(), timeout=_TOLD_WITHIN)
    if monitor.read(answer, _Answer).data.code != _TAKEN:
        raise BusUnavailable(f"the server did not take an account's token: {answer[:200]!r}")


def room_for(folder: Path) -> int:
    """Return how many bytes a server may store in `folder`: half of what is free beside what it has stored there.

    So it refuses cleanly long before the disk is full, which would freeze its streams until it is started anew.
    """
    stored = 0
    for file in (folder / "jetstream").rglob("*"):
        with suppress(OSError):  # a block that a server has just removed
            stored += file.stat().st_size
    return max(LEAST_STORE, min(MOST_STORE, stored + shutil.disk_usage(folder).free // 2))
