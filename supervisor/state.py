"""The state directory of a fleet, and how a command finds the running daemon (docs/adr/0003-state.md)."""

import os
from pathlib import Path
from typing import Final

import msgspec

from callboard.bus import Credentials
from callboard.names import checked
from callboard.processes import began
from callboard.store import OwnerConflict, OwnerLock

from .access import Access
from .errors import DaemonRuns, NoSuchDaemon, StateUnusable

FOLDER: Final = ".callboard"
VARIABLE: Final = "CALLBOARD_STATE"


class Whereabouts(Access, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``daemon.json``: how to reach a running daemon. Holds secrets: written with mode 0600."""

    fleet: str
    pid: int
    began: int
    """When the process began, in the kernel's clock ticks: a pid alone may be another's by now."""
    guest: Credentials | None = None
    """What outsiders come with; also in ``guest.creds`` beside this file."""
    monitor: str = ""

    def __repr__(self) -> str:
        """Never show the secrets."""
        return f"Whereabouts(fleet={self.fleet!r}, pid={self.pid}, {self.options()!r})"


class StateDirectory:
    """One fleet's folder."""

    def __init__(self, root: Path, fleet: str) -> None:
        self.path = root.resolve() / checked(fleet, "fleet")
        self.fleet = fleet
        self.lock = OwnerLock(self.path / "daemon")

    @property
    def whereabouts_file(self) -> Path:
        """Where the running daemon says how to reach it."""
        return self.path / "daemon.json"

    @property
    def guest_file(self) -> Path:
        """What an outsider's NATS client reads to come in."""
        return self.path / "guest.creds"

    def own(self) -> None:
        """Make the folder, private, and own it for life; raise :class:`DaemonRuns` while another daemon does."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
            self.lock.acquire()
        except OSError as error:
            raise StateUnusable(f"{self.path} cannot hold the fleet's state: {error}", path=str(self.path)) from error
        except OwnerConflict as error:
            holder = f" (pid {pid})" if (pid := error.detail.get("pid")) else ""
            raise DaemonRuns(
                f"a daemon for fleet {self.fleet!r} already runs{holder} on {self.path}; "
                f"'callboard down --fleet {self.fleet}' stops it",
                pid=pid,
                path=str(self.path),
            ) from error
        self.whereabouts_file.unlink(missing_ok=True)  # of a daemon that was killed
        for folder in ("logs", "actors", "flight"):
            (self.path / folder).mkdir(exist_ok=True, mode=0o700)

    def publish(self, whereabouts: Whereabouts) -> None:
        """Write ``daemon.json`` whole or not at all."""
        if whereabouts.guest is not None:
            write_private(self.guest_file, whereabouts.guest.file().encode())
        write_private(self.whereabouts_file, msgspec.json.encode(whereabouts))

    def leave(self) -> None:
        """Say that no daemon runs here any more."""
        self.whereabouts_file.unlink(missing_ok=True)
        self.lock.release()


def write_private(path: Path, data: bytes) -> None:
    """Write a file for its owner's eyes, whole or not at all; blocks on the disk."""
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    draft.replace(path)


def root_of(state: Path | None, home: Path) -> Path:
    """Return the folder that holds the fleets' folders: `state`, else CALLBOARD_STATE, else beside the fleet file."""
    if state is not None:
        return state
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else home / FOLDER


def find_daemon(*, fleet: str = "", state: Path | None = None) -> Whereabouts:
    """Return where the daemon is that runs: the only one, or the one of `fleet`. Raises :class:`NoSuchDaemon`.

    Looks in `state`, else in CALLBOARD_STATE, else in ``.callboard`` of the working directory and those above it.
    """
    roots = _roots(state)
    for root in roots:
        files = [root / fleet / "daemon.json"] if fleet else sorted(root.glob("*/daemon.json"))
        running = [found for file in files if (found := _read(file)) is not None]
        if len(running) > 1:
            names = ", ".join(found.fleet for found in running)
            raise NoSuchDaemon(f"several daemons run here ({names}): say which with --fleet NAME")
        if running:
            return running[0]
    where = ", ".join(str(root) for root in roots[:2])
    raise NoSuchDaemon(
        f"no daemon{f' of fleet {fleet!r}' if fleet else ''} runs in {where}; start one with 'callboard up FLEET.toml' "
        "or say where with --state DIR"
    )


def find_rest(name: str, *, fleet: str = "", state: Path | None = None) -> Path | None:
    """Return the folder of the only fleet here that has a file of this `name`, or of `fleet`; None without one.

    For a fleet that does not run: looks where :func:`find_daemon` does.
    """
    for root in _roots(state):
        found = [file.parent for file in sorted(root.glob(f"{fleet or '*'}/{name}"))]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _roots(state: Path | None) -> list[Path]:
    if state is not None or os.environ.get(VARIABLE):
        return [root_of(state, Path.cwd())]
    return [folder / FOLDER for folder in (Path.cwd(), *Path.cwd().parents)]


def _read(file: Path) -> Whereabouts | None:
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Whereabouts)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if began(found.pid) == found.began else None
