"""What the daemon says to systemd (sd_notify), if systemd started it: that it is ready, that it stops, that it lives.

One datagram a word, to the socket that ``NOTIFY_SOCKET`` names. Nothing here waits and nothing here may fail the
daemon: a word that cannot be sent is dropped. The watchdog is fed from the daemon's own event loop on purpose: a daemon
that is blocked stops feeding it, and is killed and started again.
"""

import os
import socket
from typing import Final, Self

from callboard.clock import Clock

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"
WATCHDOG_PID: Final = "WATCHDOG_PID"


class ServiceManager:
    """Who started us and wants to hear from us; nobody, if `address` is empty."""

    def __init__(self, address: str = "", *, watchdog: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog = watchdog
        """Seconds within which it must hear that we live; 0 if it does not care."""

    @classmethod
    def from_environment(cls) -> Self:
        """Take what systemd has set out of the environment: it is for this process, not for the cells."""
        address = os.environ.pop(SOCKET, "")
        micros, pid = os.environ.pop(WATCHDOG, ""), os.environ.pop(WATCHDOG_PID, "")
        ours = micros.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, watchdog=int(micros) / 1e6 if ours else 0.0)

    def ready(self, status: str) -> None:
        """Say that the start is over."""
        self._say("READY=1", _status(status))

    def stopping(self, status: str) -> None:
        """Say that the end has begun."""
        self._say("STOPPING=1", _status(status))

    async def feed(self, clock: Clock) -> None:
        """Say that we live, twice as often as asked for, until cancelled; returns at once if nobody asks."""
        while self._address and self.watchdog > 0:
            self._say("WATCHDOG=1")
            await clock.sleep(self.watchdog / 2)

    def _say(self, *words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
                out.sendto("\n".join(words).encode(), self._address)
        except (OSError, ValueError):
            return  # it is gone, or does not read, or the address is none: no reason to end a fleet


def _status(text: str) -> str:
    """Return one line: a second one would be a word of its own."""
    return f"STATUS={' '.join(text.split())[:500]}"
