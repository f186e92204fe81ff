"""Who may come in at a fleet's own server: three accounts, and the users that are made in them.

The operator, and the key that signs for the lives of cells, are made when a realm is, and are in no file: what an
earlier realm has let in is nobody to this one. What is kept are the accounts' public keys, since the streams lie under
them, and the seeds of two logins that others hold for longer than a daemon lives: the owner's and the guests'.
"""

import time
from typing import Final

import msgspec

from callboard.names import checked

from . import claims
from .claims import NO_LIMITS, Credentials, Permissions, Service, UserLimits
from .keys import MESSAGE_IDS, Key

GUEST_CONNECTIONS: Final = 64
GUEST_INTERESTS: Final = 256
"""Connections of all guests together, and what each may listen to. What they say is limited at the doors."""
REVOKED_MOST: Final = 1000
"""Users that one key signs for. The next one takes over, and when the last of these has gone they are all forgotten."""
_VERBS: Final = ("PING", "INFO", "STATS")


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a realm outlives its daemon. Holds seeds: for a file of mode 0600."""

    fleet: str
    """Public keys of the accounts."""
    guests: str
    system: str
    owner_signs: str
    """Seeds: of the key that signs for the owner, and of the owner; the same of the guests."""
    owner: str
    guest_signs: str
    guest: str

    @classmethod
    def new(cls) -> "Kept":
        """Make one; nobody keeps the seeds of the accounts themselves."""
        fleet, guests, system, owner_signs, guest_signs = (Key.new("account") for _ in range(5))
        owner, guest = Key.new("user"), Key.new("user")
        return cls(
            fleet=fleet.public, guests=guests.public, system=system.public, owner_signs=owner_signs.seed,
            owner=owner.seed, guest_signs=guest_signs.seed, guest=guest.seed,
        )  # fmt: skip

    def __repr__(self) -> str:
        """Never show the seeds."""
        return f"Kept(fleet={self.fleet}, guests={self.guests}, system={self.system})"


def doors(fleet: str) -> tuple[Service, ...]:
    """Return all that a guest of `fleet` may say: the front doors, and the service protocol."""
    root = f"cb.{checked(fleet, 'fleet')}"
    asked = [Service(subject=f"$SRV.{verb}{rest}", many=True) for verb in _VERBS for rest in ("", ".>")]
    return (Service(subject=f"{root}.to.*"), Service(subject=f"{root}.do.*"), *asked)


class _Signer:
    """A key that signs for lives of cells, for so many that a token with all that were revoked stays small."""

    def __init__(self) -> None:
        self.key = Key.new("account")
        self.living: set[str] = set()
        self.revoked: dict[str, int] = {}


class Realm:
    """For one fleet's server, under one daemon."""

    def __init__(self, fleet: str, kept: Kept) -> None:
        self._fleet, self._kept = checked(fleet, "fleet"), kept
        self._operator, self._system_signs = Key.new("operator"), Key.new("account")
        self._signers = [_Signer()]
        self.operator = claims.operator(self._operator, system=kept.system)
        self.owner = claims.user_of(Key(kept.owner_signs), Key(kept.owner), name=f"{fleet}/owner", account=kept.fleet)
        """May do everything in the fleet's account."""
        told = tuple(service.subject for service in doors(fleet))
        self.guest = claims.user_of(
            Key(kept.guest_signs), Key(kept.guest), name=f"{fleet}/guest", account=kept.guests, bearer=True,
            permissions=Permissions(publish=told, subscribe=("_INBOX.>",)),
            limits=UserLimits(interests=GUEST_INTERESTS),
        )  # fmt: skip
        """For outsiders: front doors, service questions and their own replies."""
        self.warden = claims.user_of(self._system_signs, Key.new("user"), name=f"{fleet}/warden", account=kept.system)
        """May administer the server."""

    @property
    def system(self) -> str:
        """The public key of the account that administers."""
        return self._kept.system

    @property
    def secret(self) -> str:
        """What all cells of the fleet know and no guest: the same in each life of the daemon."""
        return Key(self._kept.owner_signs).derive(MESSAGE_IDS)

    def accounts(self, *, storage: int, memory: int) -> dict[str, str]:
        """Return the tokens of the accounts as they are now, by their public keys."""
        kept, by = self._kept, self._operator
        offered = doors(self._fleet)
        signers = (Key(kept.owner_signs).public, *(signer.key.public for signer in self._signers))
        revoked = {who: since for signer in self._signers for who, since in signer.revoked.items()}
        return {
            kept.system: claims.account(by, kept.system, name="SYS", signers=(self._system_signs.public,)),
            kept.fleet: claims.account(
                by, kept.fleet, name=f"{self._fleet}/fleet", signers=signers, storage=storage,
                memory=memory, offers=offered, revoked=revoked,
            ),
            kept.guests: claims.account(
                by, kept.guests, name=f"{self._fleet}/guests", signers=(Key(kept.guest_signs).public,),
                connections=GUEST_CONNECTIONS, uses=offered, of=kept.fleet,
            ),
        }  # fmt: skip

    @property
    def fleet_account(self) -> str:
        """The public key of the fleet's account."""
        return self._kept.fleet

    def admit(self, name: str, permissions: Permissions | None, *, limits: UserLimits = NO_LIMITS) -> Credentials:
        """Make a user in the fleet's account, for one life of something; None: it may do everything there."""
        signer = self._signers[-1]
        if len(signer.living) + len(signer.revoked) >= REVOKED_MOST:
            signer = _Signer()
            self._signers.append(signer)
        user = claims.user_of(
            signer.key, Key.new("user"), name=name, account=self._kept.fleet, permissions=permissions, limits=limits
        )
        signer.living.add(user.public)
        return user

    def revoke(self, who: Credentials) -> None:
        """Make a user nobody, from the next time on that the server is told of the accounts."""
        for signer in self._signers:
            if who.public in signer.living:
                signer.living.remove(who.public)
                signer.revoked[who.public] = int(time.time()) + 1  # what was made before that second
        # A key that nobody lives under is trusted no more, and all that it has signed for with it.
        self._signers = [signer for signer in self._signers if signer.living or signer is self._signers[-1]]
