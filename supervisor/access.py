"""How the fleet's bus is reached, and as whom."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from callboard.bus import (
    MESSAGE_IDS,
    BadCredentials,
    BadKey,
    ConnectOptions,
    Credentials,
    Key,
    NatsServer,
    Permissions,
    credentials_in,
    user_of,
)

from .config import FleetConfig
from .errors import BadFleet

T = TypeVar("T")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An address, and who comes there. Holds secrets: never an argument, never in a log."""

    url: str
    user: str = ""
    password: str = ""
    ca: str = ""
    """A file of certificates to trust."""
    credentials: Credentials | None = None
    inbox: str = ""
    """The only address under which it may listen for replies; empty: it may choose."""
    secret: str = ""
    """What all of the fleet know and no guest: ids are made of it."""

    def __repr__(self) -> str:
        """Never show the secrets."""
        return f"{type(self).__name__}({self.options()!r})"

    def options(self, name: str = "callboard") -> ConnectOptions:
        """Return what a connection called `name` needs."""
        ca = Path(self.ca) if self.ca else None
        return ConnectOptions(
            url=self.url, user=self.user, password=self.password, ca=ca, name=name, credentials=self.credentials,
            inbox=self.inbox, secret=self.secret,
        )  # fmt: skip


def access_to(server: NatsServer) -> Access:
    """Return how the owner reaches the fleet's own server."""
    return Access(url=server.url, credentials=server.realm.owner, secret=server.realm.secret)


def access_outside(config: FleetConfig) -> Access:
    """Return what the fleet file says of an outside server; raises BadFleet if a secret is none, or not private."""
    table, home = config.bus, config.home
    if not table.plain and not _is_private(table.url):
        raise BadFleet(
            f"bus.url {ConnectOptions(url=table.url).shown_url} is not on this machine, and has no TLS: write tls://, "
            "or plain = true if you trust all on the way",
        )
    ca = str((home / table.ca).resolve()) if table.ca else ""
    access = Access(url=table.url, user=table.user, password=_read_secret(home, table.password_file), ca=ca)
    if table.signing_key_file:
        return as_user(access, signing_key(config), name=f"{config.name}/owner", account=table.account)
    if table.credentials_file:
        credentials = _read(home, table.credentials_file, credentials_in)
        secret = Key(credentials.seed).derive(MESSAGE_IDS)
        return msgspec.structs.replace(access, credentials=credentials, secret=secret)
    return access


def _is_private(url: str) -> bool:
    """Return whether what is said to a server stays on this machine, or is encrypted."""
    found = urlsplit(url if "://" in url else f"nats://{url}")
    if found.scheme in ("tls", "wss"):
        return True
    host = found.hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def signing_key(config: FleetConfig) -> Key:
    """Return the key by which users of an outside server's account are made; raises BadFleet."""
    key = _read(config.home, config.bus.signing_key_file, Key)
    if not key.public.startswith("A"):
        path = config.home / config.bus.signing_key_file
        raise BadFleet(
            f"{path} is the seed of {key.public[:1]}…, not of an account's signing key (SA…)", path=str(path)
        )
    return key


def as_user(
    access: Access, key: Key, *, name: str, account: str, permissions: Permissions | None = None, inbox: str = ""
) -> Access:
    """Return `access` as that of a new user, for whom `key` signs; without `permissions` it may do everything."""
    user = user_of(key, Key.new("user"), name=name, account=account, permissions=permissions)
    return msgspec.structs.replace(access, credentials=user, inbox=inbox, secret=key.derive(MESSAGE_IDS))


def _read(home: Path, file: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(_read_secret(home, file))
    except (BadCredentials, BadKey) as error:
        raise BadFleet(f"{home / file}: {error.text}", path=str(home / file)) from error


def _read_secret(home: Path, file: str) -> str:
    if not file:
        return ""
    path = home / file
    try:
        if path.stat().st_mode & 0o077:
            raise BadFleet(f"{path} can be read by others: chmod 600 it", path=str(path))
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFleet(f"a secret of [bus] cannot be read: {error}", path=str(path)) from error
