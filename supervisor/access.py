"""How the fleet's bus is reached, and as whom."""

from pathlib import Path

import msgspec

from callboard.bus import ConnectOptions, NatsServer

from .config import FleetConfig
from .errors import BadFleet


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An address and a login with the owner's rights. Holds a password: never an argument, never in a log."""

    url: str
    user: str = ""
    password: str = ""
    ca: str = ""
    """A file of certificates to trust."""

    def __repr__(self) -> str:
        """Never show the password."""
        return f"{type(self).__name__}({self.options()!r})"

    def options(self, name: str = "callboard") -> ConnectOptions:
        """Return what a connection called `name` needs."""
        ca = Path(self.ca) if self.ca else None
        return ConnectOptions(url=self.url, user=self.user, password=self.password, ca=ca, name=name)


def access_to(server: NatsServer) -> Access:
    """Return how the fleet reaches its own server."""
    return Access(url=server.url, user=server.fleet_login.user, password=server.fleet_login.password)


def access_outside(config: FleetConfig) -> Access:
    """Return what the fleet file says of an outside server; raise :class:`BadFleet` if the password is not private."""
    table = config.bus
    password = _read_secret(config.home, table.password_file)
    ca = str((config.home / table.ca).resolve()) if table.ca else ""
    return Access(url=table.url, user=table.user, password=password, ca=ca)


def _read_secret(home: Path, file: str) -> str:
    if not file:
        return ""
    path = home / file
    try:
        if path.stat().st_mode & 0o077:
            raise BadFleet(f"{path} can be read by others: chmod 600 it", path=str(path))
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadFleet(f"bus.password_file: {error}", path=str(path)) from error
