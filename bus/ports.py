"""Loopback ports: which are free, and who listens on one that is not."""

import secrets
import socket
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from .server_config import Ports, listening_inode

LOOPBACK: Final = "127.0.0.1"
_LOWEST_PORT: Final = 15_000


def pick_ports() -> Ports:
    """Return two free loopback ports that no outgoing connection is given; blocks on the disk."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    pool = range(_LOWEST_PORT, first if first > _LOWEST_PORT + 1000 else 65536)
    candidates = secrets.SystemRandom().sample(pool, 500)
    client, monitor = islice(filter(is_free, candidates), 2)
    return Ports(client=client, monitor=monitor)


def is_free(port: int) -> bool:
    """Return whether a server could listen on loopback `port` now."""
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        probe.bind((LOOPBACK, port))
        return True
    return False


def who_listens(port: int) -> str:
    """Return who listens on `port`, in words; blocks on /proc."""
    inode = listening_inode(Path("/proc/net/tcp").read_text(), port)
    for fd in Path("/proc").glob("[0-9]*/fd/*") if inode else ():
        with suppress(OSError):  # it has just ended, or belongs to somebody else
            if str(fd.readlink()) == f"socket:[{inode}]":
                pid = fd.parts[2]
                return f"process {pid} ({Path('/proc', pid, 'comm').read_text().strip()})"
    return "another process, which /proc does not show"
