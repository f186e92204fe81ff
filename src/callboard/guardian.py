"""The guardian: a tiny process that ends what a killed owner would leave behind.

Nobody can run code after ``kill -9``, so somebody else must. The owner holds the write end of a pipe whose
read end is the guardian's standard input; the system closes it however the owner ends, and the guardian then
acts on what it was told. Its language is three kinds of line::

    add <stage> <pid>       end this process when the owner is gone
    remove <pid>            it has ended, or shall live on
    expect <pid> <ms>       end the owner <pid> itself, unless this comes again within <ms>; 0 takes it back

At the end of the pipe, stage 0 (cells, which notice by themselves that their owner is gone) has 2.0 s to end
before SIGKILL. Only then stage 1 (the nats-server, to which the cells still hand their last messages) gets
SIGTERM and 1.5 s before SIGKILL. Everything is gone within 4 s of the owner's death.

Rules of the file:

1. It also runs by path as ``python -I -S guardian.py``: in milliseconds, with the standard library alone. So
   the package's own errors are imported where they are raised.
2. A process is held by the pidfd opened at ``add``: a number that the system gives to another process later
   harms nobody.
3. Nothing read from the pipe, and no process that cannot be signalled, may end the guardian early.
4. Who forks without exec copies the write end, and the pipe no longer ends with the owner: spawn children.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple, Self

Stage = Literal[0, 1]
CELLS: Final = 0
SERVERS: Final = 1

_CELL_GRACE: Final = 2.0
_SERVER_GRACE: Final = 1.5
_KILL_CONFIRM: Final = 0.2
_LATE: Final = 1.0
_CLOSE_WITHIN: Final = _CELL_GRACE + _SERVER_GRACE + 2 * _KILL_CONFIRM + 0.5
_LONGEST_LINE: Final = 256
_DEAF_TO: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ward(NamedTuple):
    """A process that ends with its owner: in which stage, and what it is called, for people."""

    stage: Stage
    name: str


OnChange = Callable[[Mapping[int, Ward]], None]
"""Told of all that is known after each change, by process id. Must not fail."""

_Wards = dict[int, tuple[int, int]]
"""What the guardian process watches: pid → (stage, pidfd)."""


class Guardian:
    """The owner's handle of its guardian process. For one thread; no call waits, except :meth:`close`.

    A guardian that was killed or stopped answering is replaced at the next :meth:`add`, :meth:`remove` or
    :meth:`ensure`, and the new one is told everything that is known.
    """

    def __init__(self) -> None:
        self.on_change: OnChange | None = None
        self._known: dict[int, Ward] = {}
        self._expected = 0
        self._pid = self._pidfd = self._pipe = -1
        self._closed = False

    @classmethod
    def start(cls) -> Self:
        """Start the guardian process.

        Raises:
            WorldError: the system has no room for another process.

        """
        guardian = cls()
        guardian._launch()
        return guardian

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The guardian's process id; another one after each replacement."""
        return self._pid

    @property
    def alive(self) -> bool:
        """Whether the guardian process runs."""
        return self._pidfd >= 0 and not _wait_gone([self._pidfd], seconds=0.0)

    def add(self, pid: int, *, stage: Stage, name: str = "") -> None:
        """Have `pid` ended when this process is gone.

        Call it right after the start, before anybody can reap `pid` and its number be given away.

        Raises:
            CallerError: this guardian is closed.
            WorldError: the guardian was gone, and could not be started again.

        """
        if self._closed:
            from .errors import CallerError

            raise CallerError(f"this guardian is closed and cannot take process {pid}: start another", pid=pid)
        self._known[pid] = Ward(stage, name)
        self._changed()
        self._tell(f"add {stage} {pid}")

    def remove(self, pid: int) -> None:
        """Forget `pid`, which has ended or shall outlive this process; nothing happens if it is not known."""
        if self._known.pop(pid, None) is None:
            return
        self._changed()
        if not self._closed:
            self._tell(f"remove {pid}")

    def expect(self, seconds: float) -> None:
        """Have this very process ended, and all that is known, unless this is called again within `seconds`; 0: never.

        For an owner whose processes must not outlive a lease, even if he himself is stopped and cannot end them.
        """
        self._expected = max(1, int(seconds * 1000)) if seconds > 0 else 0
        if not self._closed:
            self._tell(f"expect {os.getpid()} {self._expected}")

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self._known)

    def ensure(self) -> None:
        """Replace the guardian process if it was killed: for an owner that adds nothing for a long time."""
        if not (self._closed or self.alive):
            self._relaunch()

    def close(self) -> None:
        """End the guardian, and with it whatever is still known; idempotent.

        Returns within milliseconds if everything was removed before, else when the last process has ended:
        this can block for 4 s.
        """
        if self._closed:
            return
        self._closed = True
        self._hang_up()
        if self._pidfd >= 0:
            _wait_gone([self._pidfd], seconds=_CLOSE_WITHIN)
            self._kill()

    def _tell(self, line: str) -> None:
        try:
            self._write(line)
        except OSError:  # it was killed, or stopped for so long that the pipe is full
            self._relaunch()

    def _write(self, line: str) -> None:
        os.write(self._pipe, f"{line}\n".encode())

    def _relaunch(self) -> None:
        # Killed before its pipe is closed: a guardian that was only stopped would take that for our death.
        self._kill()
        self._hang_up()
        self._launch()

    def _launch(self) -> None:
        try:
            self._connect()
        except OSError as error:
            from .errors import WorldError

            self._kill()
            self._hang_up()
            text = f"the guardian process cannot be started with {sys.executable!r}: {error}"
            raise WorldError(text, executable=sys.executable) from error

    def _connect(self) -> None:
        stdin, self._pipe = os.pipe()
        try:
            os.set_blocking(self._pipe, False)
            self._pid = _spawn(stdin)
            self._pidfd = os.pidfd_open(self._pid)
        finally:
            os.close(stdin)
        for pid, ward in self._known.items():
            self._write(f"add {ward.stage} {pid}")
        if self._expected:
            self._write(f"expect {os.getpid()} {self._expected}")

    def _kill(self) -> None:
        if self._pidfd < 0:
            return
        _send([self._pidfd], signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # a program that ignores SIGCHLD has nothing to reap
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        self._pidfd = -1

    def _hang_up(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe = -1


def _spawn(stdin: int) -> int:
    command = [sys.executable, "-I", "-S", __file__]
    environment = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    return os.posix_spawn(
        sys.executable,
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),  # the owner's terminal or pipe must not stay open after the owner
        ],
        setsid=True,
        setsigmask=_DEAF_TO,  # blocked from the first instruction on, long before _guard can ignore them
    )


def _wait_gone(pidfds: Iterable[int], *, seconds: float) -> list[int]:
    """Wait until all have ended, at most `seconds`; return those that have."""
    left, gone, end = set(pidfds), list[int](), time.monotonic() + seconds
    poll = select.poll()
    for pidfd in left:
        poll.register(pidfd, select.POLLIN)
    while left:
        ready = poll.poll(max(0.0, end - time.monotonic()) * 1000)
        for pidfd, _event in ready:
            poll.unregister(pidfd)
            left.discard(pidfd)
            gone.append(pidfd)
        if not ready:
            break
    return gone


def _send(pidfds: Iterable[int], number: signal.Signals) -> None:
    for pidfd in pidfds:
        try:
            signal.pidfd_send_signal(pidfd, number)
        except OSError:
            continue  # already gone, or not ours to signal: the others must get theirs (rule 3)


def _guard() -> None:
    """Be the guardian process: listen until the owner is gone, then end its processes stage by stage."""
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    _close_inherited()
    wards: _Wards = {}
    patience = _Patience()
    _listen(wards, patience)
    patience.end_owner()
    _end(wards, CELLS, first=None, grace=_CELL_GRACE)
    _end(wards, SERVERS, first=signal.SIGTERM, grace=_SERVER_GRACE)


def _close_inherited() -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib would double the start time
        if int(name) > 2:  # the three standard streams stay
            with contextlib.suppress(OSError):  # one is the descriptor of this very listing
                os.close(int(name))


class _Patience:
    """How long the owner may be silent; for ever, unless he said otherwise."""

    def __init__(self) -> None:
        self.over = False
        self._owner = -1
        self._until: float | None = None

    def expect(self, pid: int, milliseconds: int) -> None:
        if pid <= 1 or milliseconds < 0:
            raise ValueError(pid, milliseconds)
        if self._owner < 0:
            self._owner = os.pidfd_open(pid)
        self._until = time.monotonic() + milliseconds / 1000 if milliseconds else None

    def wait(self, poll: "select.poll") -> bool:
        """Return whether there is something to read; not, if the owner's time is over."""
        while True:
            left = None if self._until is None else max(0.0, self._until - time.monotonic()) * 1000
            if poll.poll(left):
                return True
            if self._until is not None and (now := time.monotonic()) >= self._until:
                if now - self._until < _LATE:
                    self.over = True
                    return False
                self._until = now + _LATE  # we were stopped too, and he may be about to speak

    def end_owner(self) -> None:
        if self.over and self._owner >= 0:
            _send([self._owner], signal.SIGKILL)
            _wait_gone([self._owner], seconds=_KILL_CONFIRM)


def _listen(wards: _Wards, patience: _Patience) -> None:
    rest, poll = b"", select.poll()
    poll.register(0, select.POLLIN)
    while patience.wait(poll) and (chunk := os.read(0, 65536)):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:_LONGEST_LINE]
        for line in lines:
            _obey(line, wards, patience)


def _obey(line: bytes, wards: _Wards, patience: _Patience) -> None:
    try:
        match line.split():
            case [b"add", (b"0" | b"1") as stage, pid]:
                _add(wards, int(pid), int(stage))
            case [b"remove", pid]:
                os.close(wards.pop(int(pid))[1])
            case [b"expect", pid, milliseconds]:
                patience.expect(int(pid), int(milliseconds))
            case _:
                return  # rule 3: garbage asks for nothing
    except (ValueError, OverflowError, KeyError, OSError):
        return  # the same: no such number, or nobody has it any more


def _add(wards: _Wards, pid: int, stage: int) -> None:
    if pid <= 1:
        raise ValueError(pid)  # never a process group, never init
    pidfd = os.pidfd_open(pid)
    if pid in wards:
        os.close(wards[pid][1])
    wards[pid] = (stage, pidfd)


def _end(wards: _Wards, stage: int, *, first: signal.Signals | None, grace: float) -> None:
    left = {pidfd: pid for pid, (of, pidfd) in wards.items() if of == stage}
    if first is not None:
        _send(left, first)
    for pidfd in _wait_gone(left, seconds=grace):
        del left[pidfd]
    for pid in left.values():  # they live, so the number is theirs: what they have forked ends with them
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    _send(left, signal.SIGKILL)
    _wait_gone(left, seconds=_KILL_CONFIRM)


if __name__ == "__main__":
    _guard()
