"""Keys of NATS: an ed25519 pair whose text says what it is for. The one place that knows nkeys."""

import base64
import hmac
import os
from typing import Final, Literal

import nkeys  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it has no types
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.signing import VerifyKey

from callboard.errors import CallerError

MESSAGE_IDS: Final = "message ids"
"""What a secret is derived for that a fleet's own share, and no stranger to its queues knows."""
Kind = Literal["operator", "account", "user"]
_PREFIXES: Final[dict[Kind, int]] = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}


def is_signed(public: str, data: bytes, signature: bytes) -> bool:
    """Return whether `signature` is that of `data` by the key whose public half, as text, is `public`."""
    try:
        raw = base64.b32decode(public + "=" * (-len(public) % 8))[1:-2]  # a prefix before it, a checksum behind
        VerifyKey(raw).verify(data, signature)
    except (BadSignatureError, CryptoError, ValueError, TypeError):
        return False
    return True


class BadKey(CallerError):
    """A text that is no seed of an nkey."""


class Key:
    """A pair. Its seed is a secret, and in no representation."""

    def __init__(self, seed: str) -> None:
        """Read a seed; raise :class:`BadKey` for anything else."""
        try:
            self._pair = nkeys.from_seed(bytearray(seed.strip().encode()))
            self.public = self._pair.public_key.decode()
        except (nkeys.NkeysError, ValueError) as error:
            raise BadKey(
                f"no seed of an nkey: {type(error).__name__}; it looks like SU… (user) or SA… (account)"
            ) from error
        self.seed = seed.strip()

    @classmethod
    def new(cls, kind: Kind) -> "Key":
        """Make a pair."""
        return cls(nkeys.encode_seed(os.urandom(32), _PREFIXES[kind]).decode())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`."""
        signature: bytes = self._pair.sign(data)
        return signature

    def answer(self, nonce: str) -> bytes:
        """Return what a client says to a server's nonce."""
        return base64.b64encode(self.sign(nonce.encode()))

    def derive(self, what: str) -> str:
        """Return a secret for another use that only who has the seed can make, the same each time."""
        return hmac.new(self.seed.encode(), what.encode(), "sha256").hexdigest()

    def __repr__(self) -> str:
        """Never show the seed."""
        return f"Key({self.public})"
