"""Who gave an order: persons are known by keys, and what they order is signed.

Keys are made by people and kept where people keep theirs, outside the fleet's state: who gets at that has the owner's
login, and is no person for it. A fleet whose file names persons obeys only them, and each event of an order names one.
"""

import base64
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

from callboard.actors import Message, tag_of
from callboard.bus import BadKey, Key, is_signed
from callboard.clock import Clock
from callboard.ids import new_id

from .errors import BadPersonKey, NoAuthor

VARIABLE: Final = "CALLBOARD_KEY"
FRESH_FOR: Final = 60.0
"""Seconds for which a signed order is taken, from when it was signed."""
_SEEN_MOST: Final = 10_000
_LAST: Final = 8


class PersonTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[person]]``."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    key: Annotated[str, msgspec.Meta(pattern="^U[A-Z2-7]{55}$")]
    """The public key that ``callboard person`` prints."""


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """Proof of who ordered something, and when."""

    key: str
    at: float
    """Unix seconds."""
    nonce: str
    signature: str


class Command(Message):
    """Base of what changes something."""

    seal: Seal | None = None


C = TypeVar("C", bound=Command)


def sealed(command: C, key: Key, *, fleet: str, now: float) -> C:
    """Return `command` with the signature of a person."""
    nonce = new_id()
    signature = base64.b64encode(key.sign(_said(command, key.public, fleet, now, nonce))).decode()
    seal = Seal(key=key.public, at=now, nonce=nonce, signature=signature)
    return msgspec.structs.replace(command, seal=seal)


def _said(command: Command, public: str, fleet: str, at: float, nonce: str) -> bytes:
    """Return what is signed: all of it, and for which fleet."""
    plain = msgspec.to_builtins(msgspec.structs.replace(command, seal=None))
    return msgspec.json.encode([fleet, tag_of(type(command)), plain, public, at, nonce], order="sorted")


class Persons:
    """Those whom a fleet obeys; `tables` says who they are now."""

    def __init__(self, tables: Callable[[], Sequence[PersonTable]], *, fleet: str, clock: Clock) -> None:
        self._tables, self._fleet, self._clock = tables, fleet, clock
        self._seen: dict[str, float] = {}
        self._since = clock.now()

    def author(self, command: Command) -> str:
        """Return the name of who gave an order; empty where the fleet file names no persons.

        Raises NoAuthor: nobody has signed it, or nobody that is known, or not now, or it was seen before.
        """
        known = {table.key: table.name for table in self._tables()}
        if not known:
            return ""
        seal, names = command.seal, ", ".join(known.values())
        if seal is None:
            raise NoAuthor(f"fleet {self._fleet!r} obeys persons only ({names}): sign with a key, see {VARIABLE}")
        name = known.get(seal.key)
        if name is None:
            raise NoAuthor(f"the key that ends in {seal.key[-_LAST:]!r} is no person's here ({names})")
        said = _said(command, seal.key, self._fleet, seal.at, seal.nonce)
        if not is_signed(seal.key, said, _decoded(seal.signature)):
            raise NoAuthor(f"the signature is not {name}'s: the order was changed on its way, or is another's")
        self._check_fresh(seal, name)
        return name

    def _check_fresh(self, seal: Seal, name: str) -> None:
        now = self._clock.now()
        if not abs(now - seal.at) <= FRESH_FOR:
            text = f"{name} signed {now - seal.at:.0f} s ago, and {FRESH_FOR:.0f} s is the limit: do the clocks agree?"
            raise NoAuthor(text)
        if seal.at < self._since:
            raise NoAuthor(f"{name} signed this before the daemon began: it may be done already; give it anew")
        self._seen = {nonce: at for nonce, at in self._seen.items() if now - at <= 2 * FRESH_FOR}
        if seal.nonce in self._seen:
            raise NoAuthor(f"this order of {name} was given before: give it anew")
        if len(self._seen) >= _SEEN_MOST:
            raise NoAuthor(f"{_SEEN_MOST} orders were given within two minutes: that is no person")
        self._seen[seal.nonce] = now


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError:
        return b""


def key_file() -> Path:
    """Return where a person's key is: as CALLBOARD_KEY says, else in the folder of the user's settings."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "callboard" / "key"


def find_key() -> Key | None:
    """Return the key of who runs this command; None if there is none. Raises BadPersonKey."""
    path = key_file()
    try:
        if path.stat().st_mode & 0o077:
            raise BadPersonKey(f"{path} can be read by others: chmod 600 it", path=str(path))
        return Key(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if os.environ.get(VARIABLE):
            raise BadPersonKey(f"{VARIABLE} names {path}, and there is no such file", path=str(path)) from error
        return None
    except (OSError, UnicodeDecodeError, BadKey) as error:
        raise BadPersonKey(f"{path} is no person's key: {error}", path=str(path)) from error


def make_key() -> Key:
    """Make a key where :func:`find_key` looks, for its owner's eyes; raises BadPersonKey if there is one."""
    path, key = key_file(), Key.new("user")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{key.seed}\n")
    except OSError as error:
        raise BadPersonKey(f"no key can be made at {path}: {error}", path=str(path)) from error
    return key
