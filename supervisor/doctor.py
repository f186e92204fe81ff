"""What ``callboard doctor`` looks at: each check says what it found and, if it is bad, what to do."""

import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from callboard.bus import find_binary
from callboard.errors import CallboardError

from .warden import BY_SERVER, IN_PROCESS

FREE_DISK: Final = 1024**3
FILES: Final = 1024


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    what: str
    ok: bool
    text: str


def examine(binary: Path | None = None, *, fleet_file: Path | None = None) -> list[Finding]:
    """Return what was found, in the order of what needs what; with a fleet file, of what it says too."""
    found = [_python(), _server(binary), _loopback(), _pidfd(), _disk(), _files()]
    return [*found, _permissions(fleet_file)] if fleet_file is not None and fleet_file.exists() else found


def _python() -> Finding:
    version = sys.version.split()[0]
    return Finding(what="python", ok=sys.version_info >= (3, 11), text=f"{version} (3.11 or newer is needed)")


def _server(binary: Path | None) -> Finding:
    try:
        found = find_binary(binary)
        shown = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603 - the user's own
    except (CallboardError, OSError, subprocess.SubprocessError) as error:
        return Finding(what="nats-server", ok=False, text=f"{error}")
    return Finding(what="nats-server", ok=True, text=f"{shown.stdout.strip()} at {found}")


def _loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
    except OSError as error:
        return Finding(what="loopback", ok=False, text=f"cannot listen on 127.0.0.1: {error}")
    return Finding(what="loopback", ok=True, text=f"can listen on 127.0.0.1 (got port {port})")


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding(what="pidfd", ok=False, text=f"{error}: Linux 5.3 or newer is needed to watch cells")
    return Finding(what="pidfd", ok=True, text="processes can be watched and signalled without a race")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 1024**3:.1f} GiB free here (1 GiB is needed for queues and records)"
    return Finding(what="disk", ok=free >= FREE_DISK, text=text)


def _permissions(fleet_file: Path) -> Finding:
    try:
        bus = tomllib.loads(fleet_file.read_text(encoding="utf-8")).get("bus", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Finding(what="permissions", ok=False, text=f"{fleet_file} cannot be read: {error}")
    if not isinstance(bus, dict) or not bus.get("url") or bus.get("signing_key_file"):
        return Finding(what="permissions", ok=True, text=f"enforced {BY_SERVER}")
    text = f"{IN_PROCESS}: all cells share one login of {bus['url']}; with a signing_key_file each has its own"
    return Finding(what="permissions", ok=True, text=text)


def _files() -> Finding:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding(what="open files", ok=soft >= FILES, text=f"limit {soft} (at least {FILES}: 'ulimit -n {FILES}')")
