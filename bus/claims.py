"""What NATS is told of accounts and users: JSON web tokens, signed by who is trusted above. Pure, but for ids and time.

The form is that of version 2 of NATS' own tokens: a head, claims and an ed25519 signature, each in base64. In claims -1
stands for "no limit", and 0 or nothing for "none".
"""

import base64
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from callboard.errors import CallerError
from callboard.ids import new_id

from .keys import Key

UNLIMITED: Final = -1
_BLOCK: Final = re.compile(r"-{3,}BEGIN [A-Z ]+-{3,}\s+(\S+)\s+-{3,}END [A-Z ]+-{3,}")
_JWT_AND_SEED: Final = 2
_HEAD: Final = {"typ": "JWT", "alg": "ed25519-nkey"}


class BadCredentials(CallerError):
    """A text that is no ``.creds`` file of NATS."""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may say and hear: patterns of subjects. Nothing else is allowed."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


class UserLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one user may take of the server."""

    interests: int = UNLIMITED
    payload: int = UNLIMITED
    """Bytes of one message."""


NO_LIMITS: Final = UserLimits()


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Who a client is, and the secret that proves it. Never an argument, never in a log."""

    jwt: str
    seed: str
    public: str
    """The user's public key, by which it is revoked."""

    def __repr__(self) -> str:
        """Never show the secrets."""
        return f"Credentials({self.public})"

    def file(self) -> str:
        """Return what stands in a ``.creds`` file, as NATS clients read it."""
        parts = (("NATS USER JWT", self.jwt), ("USER NKEY SEED", self.seed))
        return "\n".join(f"-----BEGIN {what}-----\n{text}\n------END {what}------\n" for what, text in parts)


def credentials_in(text: str) -> Credentials:
    """Read a ``.creds`` file; raise :class:`BadCredentials` if it is none."""
    blocks = [found[1] for found in _BLOCK.finditer(text)]
    if len(blocks) != _JWT_AND_SEED:
        raise BadCredentials("no .creds file of NATS: it has a JWT and a seed, each between lines of dashes")
    return Credentials(jwt=blocks[0], seed=blocks[1], public=Key(blocks[1]).public)


def operator(key: Key, *, system: str) -> str:
    """Return the operator's token, which a server trusts; `system`: the account that administers, by its public key."""
    return _sign(key, key.public, "callboard", {"type": "operator", "system_account": system})


def account(
    by: Key, public: str, *, name: str, signers: tuple[str, ...], storage: int = 0, memory: int = 0,
    connections: int = UNLIMITED, interests: int = UNLIMITED, payload: int = UNLIMITED,
    revoked: Mapping[str, int] | None = None,
) -> str:  # fmt: skip
    """Return the token of an account. It offers nothing to others and uses nothing of theirs.

    A token that names services is not pushed without loss: what others have asked and is not answered is forgotten.

    Args:
        by: the operator's key.
        public: the account's public key.
        name: for people.
        signers: public keys that may sign for its users.
        storage, memory: bytes that its streams may take; 0: it has no JetStream.
        connections, interests, payload: of all its users together, or of one message.
        revoked: users that are nobody any more, and since when (Unix seconds).

    """
    limits = {
        "subs": interests, "conn": connections, "payload": payload, "data": UNLIMITED, "leaf": 0, "imports": 0,
        "exports": 0, "wildcards": True,
    }  # fmt: skip
    if storage:
        limits |= {"disk_storage": storage, "mem_storage": memory, "streams": UNLIMITED, "consumer": UNLIMITED}
    nats: dict[str, Any] = {"type": "account", "limits": limits, "signing_keys": list(signers)}
    return _sign(by, public, name, nats | {"revocations": dict(revoked or {})})


def user_of(
    by: Key, key: Key, *, name: str, account: str, permissions: Permissions | None = None,
    limits: UserLimits = NO_LIMITS,
) -> Credentials:  # fmt: skip
    """Return the credentials of a user.

    Args:
        by: a key that signs for the account.
        key: the user's own.
        name: for people, and in the server's log.
        account: the account's public key.
        permissions: what it may do; None: everything in its account.
        limits: what it may take.

    """
    nats: dict[str, Any] = {
        "type": "user", "issuer_account": account, "subs": limits.interests, "payload": limits.payload,
        "data": UNLIMITED, "allowed_connection_types": ["STANDARD"],
    }  # fmt: skip
    if permissions is not None:
        nats["pub"] = {"allow": list(permissions.publish)} if permissions.publish else {"deny": [">"]}
        nats["sub"] = {"allow": list(permissions.subscribe)} if permissions.subscribe else {"deny": [">"]}
    return Credentials(jwt=_sign(by, key.public, name, nats), seed=key.seed, public=key.public)


def _sign(by: Key, about: str, name: str, nats: dict[str, Any]) -> str:
    claims = {"jti": new_id(), "iat": int(time.time()), "iss": by.public, "sub": about, "name": name}
    body = b".".join(_base64(msgspec.json.encode(part)) for part in (_HEAD, claims | {"nats": nats | {"version": 2}}))
    return (body + b"." + _base64(by.sign(body))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
