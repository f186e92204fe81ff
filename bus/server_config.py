"""The configuration that the embedded nats-server runs with: small, and all of it on purpose.

Loopback only; every enqueue is on disk before it is acknowledged; two users, allow lists and no deny rules
(overlapping ones have been bypassed before); no websocket, MQTT, leafnode, route or anonymous user. The
system account has no user at all. Nothing here touches the disk or the clock.
"""

import re
from typing import Annotated, Final

import msgspec

from callboard.errors import CallerError
from callboard.names import checked

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]

# A control character could end the line and begin a setting of its own; a lone surrogate is not UTF-8.
_UNQUOTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MOST_STORE: Final = 16 * 1024**3
_LISTEN: Final = "0A"
_SERVICE_VERBS: Final = ("PING", "INFO", "STATS")


class InvalidSetting(CallerError):
    """A value cannot stand in the server's configuration."""


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client shows to be let in."""

    user: Annotated[str, msgspec.Meta(min_length=1)]
    password: Annotated[str, msgspec.Meta(min_length=1)]

    def __repr__(self) -> str:
        """Never show the password."""
        return f"Login(user={self.user!r})"


class Logins(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The two users of a server."""

    fleet: Login
    guest: Login


class Ports(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The two loopback ports of a server."""

    client: PortNumber
    monitor: PortNumber


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs between two servers. Sizes in bytes, checked when the text is made."""

    fleet: str
    server_name: str
    """Shown to each client; without spaces."""
    ports: Ports
    store_dir: str
    """The server keeps its streams in the folder ``jetstream`` in here."""
    logins: Logins
    max_file_store: int = MOST_STORE
    """Past this an enqueue is refused cleanly; a full disk would freeze the stream until a restart."""
    max_memory_store: int = 64 * 1024**2
    max_payload: int = 1024**2

    def text(self) -> str:
        """Return the file to give to the server.

        Raises:
            InvalidSetting: a value cannot be quoted, or two that must differ are the same.
            InvalidName: the fleet is not named like one.

        """
        _check(self)
        return _TEXT.format(
            server_name=quoted(self.server_name),
            port=self.ports.client,
            monitor=self.ports.monitor,
            max_payload=self.max_payload,
            store_dir=quoted(self.store_dir),
            max_file_store=self.max_file_store,
            max_memory_store=self.max_memory_store,
            fleet_user=quoted(self.logins.fleet.user),
            fleet_password=quoted(self.logins.fleet.password),
            guest_user=quoted(self.logins.guest.user),
            guest_password=quoted(self.logins.guest.password),
            guest_publish=", ".join(quoted(subject) for subject in guest_may_publish(self.fleet)),
        )


def guest_may_publish(fleet: str) -> list[str]:
    """Return all that the guest login may say: the front doors of `fleet`, and the service protocol."""
    services = [subject for verb in _SERVICE_VERBS for subject in (f"$SRV.{verb}", f"$SRV.{verb}.>")]
    root = f"cb.{checked(fleet, 'fleet')}"
    return [f"{root}.to.*", f"{root}.do.*", *services]


def quoted(value: str) -> str:
    """Return `value` as a string of the configuration; raise :class:`InvalidSetting` if it cannot be."""
    if not value or _UNQUOTABLE.search(value):
        raise InvalidSetting(
            f"{ascii(value)[:200]} cannot stand in the nats-server configuration: "
            "it must not be empty, and hold no control character and nothing that is not Unicode text"
        )
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def listening_inode(table: str, port: int) -> str | None:
    """Return the inode of the socket that listens on `port`, from the text of ``/proc/net/tcp``."""
    for row in table.splitlines()[1:]:
        _, local, _, state, *rest = row.split()
        if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
            return rest[5]
    return None


def _check(config: ServerConfig) -> None:
    if config.ports.client == config.ports.monitor:
        raise InvalidSetting(f"port {config.ports.client} is named twice: clients and monitor need one each")
    if config.logins.fleet.user == config.logins.guest.user:
        raise InvalidSetting(f"user {config.logins.guest.user!r} is named twice: fleet and guest must differ")
    if " " in config.server_name:
        raise InvalidSetting(f"server name {config.server_name!r} holds a space, which nats-server refuses")


_TEXT: Final = """\
# Written by Callboard at each start of the server: a change made here does not last.
server_name: {server_name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
max_payload: {max_payload}
ping_interval: "5s"
ping_max: 2
write_deadline: "10s"

jetstream {{
    store_dir: {store_dir}
    sync_interval: always
    max_file_store: {max_file_store}
    max_memory_store: {max_memory_store}
}}

system_account: SYS
accounts {{
    SYS {{}}
    FLEET {{
        jetstream: enabled
        users: [
            {{ user: {fleet_user}, password: {fleet_password} }}
            {{
                user: {guest_user}, password: {guest_password}
                permissions: {{
                    publish: {{ allow: [{guest_publish}] }}
                    subscribe: {{ allow: ["_INBOX.>"] }}
                }}
            }}
        ]
    }}
}}
"""
