"""The connections that others have to a port of this process, seen from outside the code that serves them.

A server written in C++ hears that a client has gone when its connection ends, and else works on for nobody. So who
wants it to end at once has to hang up on its clients.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


def shut(port: int) -> int:
    """Take no more connections at a loopback port of this process and end those that there are; return how many."""
    ended = 0
    for each in _sockets_at(port):
        with suppress(OSError):  # it has just ended by itself
            ended += not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            each.shutdown(socket.SHUT_RDWR)
    return ended


def _sockets_at(port: int) -> Iterator[socket.socket]:
    """Yield the sockets of this process that are bound to a port, each as a copy that is closed again."""
    for entry in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - names are all that is needed
        found = _copy(int(entry))
        if found is not None:
            with found:
                if _is_at(found, port):
                    yield found


def _copy(descriptor: int) -> socket.socket | None:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None  # closed meanwhile
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None  # a file


def _is_at(found: socket.socket, port: int) -> bool:
    try:
        return found.family == socket.AF_INET and found.getsockname()[:2] == ("127.0.0.1", port)
    except OSError:
        return False
