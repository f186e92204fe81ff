"""The configuration that the embedded nats-server runs with: small, and all of it on purpose.

Loopback only; every enqueue is on disk before it is acknowledged; users are those that the operator's keys have signed
for, see :mod:`.realm`, and nobody else; no websocket, MQTT, leafnode, route or anonymous user. Nothing here is secret,
nor touches the disk or the clock.
"""

import re
from typing import Annotated, Final

import msgspec

from callboard.errors import CallerError

PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]

# A control character could end the line and begin a setting of its own; a lone surrogate is not UTF-8.
_UNQUOTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MOST_STORE: Final = 16 * 1024**3
MOST_MEMORY: Final = 64 * 1024**2
_LISTEN: Final = "0A"
_TOKEN: Final = re.compile("[A-Za-z0-9_.-]+")
CONTROL_LINE: Final = 256 * 1024
"""Bytes of one line of the protocol: a user's token stands in one, with all that it may do."""


class InvalidSetting(CallerError):
    """A value cannot stand in the server's configuration."""


class Ports(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The two loopback ports of a server."""

    client: PortNumber
    monitor: PortNumber


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs between two servers. Sizes in bytes, checked when the text is made."""

    server_name: str
    """Shown to each client; without spaces."""
    ports: Ports
    store_dir: str
    """The server keeps its streams in the folder ``jetstream`` in here."""
    operator: str
    """The token of who signs for accounts."""
    system: str
    """The public key of the account that administers."""
    accounts: dict[str, str]
    """The tokens of all accounts, by public key."""
    tokens_dir: str
    """The server keeps what it is told of accounts in here."""
    max_file_store: int = MOST_STORE
    """Past this an enqueue is refused cleanly; a full disk would freeze the stream until a restart."""
    max_memory_store: int = MOST_MEMORY
    max_payload: int = 1024**2

    def text(self) -> str:
        """Return the file to give to the server.

        Raises:
            InvalidSetting: a value cannot be quoted, or two that must differ are the same.

        """
        _check(self)
        return _TEXT.format(
            server_name=quoted(self.server_name),
            port=self.ports.client,
            monitor=self.ports.monitor,
            max_payload=self.max_payload,
            max_control_line=CONTROL_LINE,
            store_dir=quoted(self.store_dir),
            max_file_store=self.max_file_store,
            max_memory_store=self.max_memory_store,
            operator=self.operator,
            system=self.system,
            tokens_dir=quoted(self.tokens_dir),
            accounts="\n".join(f"    {public}: {token}" for public, token in self.accounts.items()),
        )


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
    for token in (config.operator, config.system, *config.accounts, *config.accounts.values()):
        if not _TOKEN.fullmatch(token):
            raise InvalidSetting(f"{ascii(token)[:60]} is no token and no public key of NATS")
    if " " in config.server_name:
        raise InvalidSetting(f"server name {config.server_name!r} holds a space, which nats-server refuses")


_TEXT: Final = """\
# Written by Callboard at each start of the server: a change made here does not last.
server_name: {server_name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
max_payload: {max_payload}
max_control_line: {max_control_line}
ping_interval: "5s"
ping_max: 2
write_deadline: "10s"

jetstream {{
    store_dir: {store_dir}
    sync_interval: always
    max_file_store: {max_file_store}
    max_memory_store: {max_memory_store}
}}

operator: {operator}
system_account: {system}
resolver {{
    type: full
    dir: {tokens_dir}
}}
resolver_preload {{
{accounts}
}}
"""
