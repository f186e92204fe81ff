"""Who may come in at a fleet's own server: two accounts, and the users that are made in them.

The operator, and the key that signs for the lives of cells, are made when a realm is, and are in no file: what an
earlier realm has let in is nobody to this one. What is kept are the accounts' public keys, since the streams lie under
them, and the seeds of two logins that others hold for longer than a daemon lives: the owner's and the guests'.
"""

from typing import Final

import msgspec

from callboard.names import checked

from . import claims, subjects
from .claims import NO_LIMITS, Credentials, Permissions, UserLimits
from .keys import MESSAGE_IDS, Key

GUEST_INTERESTS: Final = 256
"""What one connection of a guest may listen to: its replies. What guests say is limited at the doors."""
CONNECTIONS_MOST: Final = 4096
INTERESTS_MOST: Final = 1_000_000
"""Of all users of the fleet's account together, so that what goes wrong there ends there."""
FOREVER: Final = 253_402_300_799
"""Unix seconds: a user is made once, so all that was ever made is revoked, whatever the clock said then."""
REVOKED_MOST: Final = 1000
"""Users that one key signs for. The next one takes over, and when the last of these has gone they are all forgotten."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a realm outlives its daemon. Holds seeds: for a file of mode 0600."""

    fleet: str
    """Public keys of the accounts."""
    system: str
    signs: str
    """Seeds: of the key that signs for the two logins that are kept, of the owner, and of the guests."""
    owner: str
    guest: str

    @classmethod
    def new(cls) -> "Kept":
        """Make one; nobody keeps the seeds of the accounts themselves."""
        fleet, system, signs = (Key.new("account") for _ in range(3))
        owner, guest = Key.new("user"), Key.new("user")
        return cls(fleet=fleet.public, system=system.public, signs=signs.seed, owner=owner.seed, guest=guest.seed)

    def __repr__(self) -> str:
        """Never show the seeds."""
        return f"Kept(fleet={self.fleet}, system={self.system})"


def guest_permissions(fleet: str) -> Permissions:
    """Return what an outsider may do: say something at front doors, ask the service protocol, and hear replies."""
    doors = (subjects.front_door(fleet, subjects.ANY), subjects.work_door(fleet, subjects.ANY))
    return Permissions(publish=(*doors, *subjects.service_questions()), subscribe=("_INBOX.>",))


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
        self._signers, self._next = [_Signer()], _Signer()
        self.version = 0
        """Another one each time that the server should be told of the accounts anew."""
        self.operator = claims.operator(self._operator, system=kept.system)
        signs = Key(kept.signs)
        self.owner = claims.user_of(signs, Key(kept.owner), name=f"{fleet}/owner", account=kept.fleet)
        """May do everything in the fleet's account."""
        self.guest = claims.user_of(
            signs, Key(kept.guest), name=f"{fleet}/guest", account=kept.fleet,
            permissions=guest_permissions(fleet), limits=UserLimits(interests=GUEST_INTERESTS),
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
        return Key(self._kept.signs).derive(MESSAGE_IDS)

    def accounts(self, *, storage: int, memory: int) -> dict[str, str]:
        """Return the tokens of the accounts as they are now, by their public keys."""
        kept, by = self._kept, self._operator
        signers = (Key(kept.signs).public, *(signer.key.public for signer in (*self._signers, self._next)))
        revoked = {who: since for signer in self._signers for who, since in signer.revoked.items()}
        return {
            kept.system: claims.account(by, kept.system, name="SYS", signers=(self._system_signs.public,)),
            kept.fleet: claims.account(
                by, kept.fleet, name=f"{self._fleet}/fleet", signers=signers, storage=storage, memory=memory,
                connections=CONNECTIONS_MOST, interests=INTERESTS_MOST, revoked=revoked,
            ),
        }  # fmt: skip

    @property
    def signing_key(self) -> Key:
        """The key that signs for the users of the fleet's account now."""
        return self._signers[-1].key

    @property
    def fleet_account(self) -> str:
        """The public key of the fleet's account."""
        return self._kept.fleet

    def admit(self, name: str, permissions: Permissions | None, *, limits: UserLimits = NO_LIMITS) -> Credentials:
        """Make a user in the fleet's account, for one life of something; None: it may do everything there."""
        signer = self._signers[-1]
        if len(signer.living) + len(signer.revoked) >= REVOKED_MOST:
            signer, self._next = self._next, _Signer()  # the server knows it since the one before took over
            self._signers.append(signer)
            self.version += 1
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
                signer.revoked[who.public] = FOREVER
                self.version += 1
        # A key that nobody lives under is trusted no more, and all that it has signed for with it.
        self._signers = [signer for signer in self._signers if signer.living or signer is self._signers[-1]]
