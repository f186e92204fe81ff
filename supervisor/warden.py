"""Who lets the cells in at the server, each of its lives as a user of its own, and puts them out again."""

from collections.abc import Sequence
from typing import Final, Protocol

import anyio

from callboard.actors import ActorSpec
from callboard.bus import (
    ANYONE,
    Connection,
    Key,
    NatsServer,
    Reach,
    UserLimits,
    new_inbox,
    permissions_of,
    tell_account,
)
from callboard.clock import Clock
from callboard.errors import CallboardError

from .access import Access, as_user
from .border import Put
from .reserved import keeper_of

IN_PROCESS: Final = "in process only"
BY_SERVER: Final = "by the server, for each life of each cell"
AGAIN_AFTER: Final = 0.5
SAID_AFTER: Final = 5
"""Attempts in vain after which it is an event that the server does not hear who is revoked."""
_INTERESTS: Final = 128
_INTERESTS_EACH: Final = 32
"""Interests that a cell may have, and more for each of its actors: several times what they need."""


class Warden(Protocol):
    """What the daemon expects of who lets cells in."""

    enforced: str
    """By whom permissions are enforced, for people."""

    def admit(self, cell: str, epoch: int, specs: Sequence[ActorSpec], *, staff: Sequence[str] = ()) -> Access:
        """Return how one life of a cell comes to the bus; all may speak to the runtime's own `staff`."""
        ...

    def revoke(self, access: Access) -> None:
        """Have that life be nobody at the server from now on."""
        ...


class Shared:
    """Lets all in as one: for a server whose accounts are not ours."""

    enforced = IN_PROCESS

    def __init__(self, access: Access) -> None:
        self._access = access

    def admit(self, cell: str, epoch: int, specs: Sequence[ActorSpec], *, staff: Sequence[str] = ()) -> Access:  # noqa: ARG002 - all alike
        """Return the one login."""
        return self._access

    def revoke(self, access: Access) -> None:
        """Do nothing: who has the login has it."""


class Signed:
    """At an outside server whose owner has given us a key for the account; to revoke is the owner's alone."""

    enforced = f"{BY_SERVER}; who is killed is not revoked there"

    def __init__(self, access: Access, key: Key, *, fleet: str, account: str) -> None:
        self._access, self._key, self._fleet, self._account = access, key, fleet, account

    def admit(self, cell: str, epoch: int, specs: Sequence[ActorSpec], *, staff: Sequence[str] = ()) -> Access:
        """Make a user that may do what these actors may, and nothing else."""
        inbox = new_inbox()
        allowed = permissions_of(self._fleet, cell, reach_of(cell, specs, staff), inbox=inbox)
        name = f"{self._fleet}/{cell}/{epoch}"
        return as_user(self._access, self._key, name=name, account=self._account, permissions=allowed, inbox=inbox)

    def revoke(self, access: Access) -> None:
        """Do nothing: its secret was in its memory alone, and is gone with it."""


class Own:
    """At the fleet's own server; `bus` is a connection to its system account."""

    enforced = BY_SERVER

    def __init__(self, server: NatsServer, bus: Connection, *, fleet: str, clock: Clock, report: Put) -> None:
        self._server, self._bus, self._fleet, self._clock, self._report = server, bus, fleet, clock, report
        self._told = server.realm.version
        self._changed = anyio.Event()
        self._cells: dict[str, str] = {}

    def cell_of(self, user: str) -> str:
        """Return the cell that a user, by its public key, is a life of; empty if it is none."""
        return self._cells.get(user, "")

    def admit(self, cell: str, epoch: int, specs: Sequence[ActorSpec], *, staff: Sequence[str] = ()) -> Access:
        """Make a user that may do what these actors may, and nothing else."""
        inbox, realm = new_inbox(), self._server.realm
        allowed = permissions_of(self._fleet, cell, reach_of(cell, specs, staff), inbox=inbox)
        limits = UserLimits(interests=_INTERESTS + _INTERESTS_EACH * len(specs))
        user = realm.admit(f"{self._fleet}/{cell}/{epoch}", allowed, limits=limits)
        if realm.version != self._told:
            self._changed.set()
        self._cells = {key: name for key, name in self._cells.items() if name != cell} | {user.public: cell}
        return Access(url=self._server.url, credentials=user, inbox=inbox, secret=realm.secret)

    def revoke(self, access: Access) -> None:
        """Put a user out, and drop its connections; the server is told at once, and again until it has heard."""
        if access.credentials is not None:
            self._server.realm.revoke(access.credentials)
            self._changed.set()

    async def run(self) -> None:
        """Tell the server what has changed, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            failed = 0
            while self._told != self._server.realm.version:
                failed = failed + 1 if await self._tell(failed) else 0

    async def _tell(self, failed: int) -> bool:
        """Tell it once; return whether that failed. Where it is away, it reads all when it starts."""
        version = self._server.realm.version
        try:
            await tell_account(self._bus, self._server)
        except CallboardError as error:
            if failed == SAID_AFTER:
                self._report(
                    "server-untold", "nats", f"it does not hear who is revoked: {error.text}", {"code": error.code}
                )
            await self._clock.sleep(AGAIN_AFTER)
            return True
        self._told = version
        return False


def reach_of(cell: str, specs: Sequence[ActorSpec], staff: Sequence[str] = ()) -> Reach:
    """Return what the actors of a cell need, those that they may spawn included: a child may do no more. Pure."""
    grants = [spec.may for spec in specs]
    return Reach(
        actors=(*(spec.name for spec in specs), keeper_of(cell)),
        open=tuple(spec.name for spec in specs if spec.open),
        kept=tuple(spec.name for spec in specs if spec.kept),
        queues=tuple(spec.name for spec in specs),
        tell=_union(("supervisor", *staff), *(grant.names("tell") + grant.names("ask") for grant in grants)),
        enqueue=_union(*(grant.names("enqueue") for grant in grants)),
        publish=_union(*(grant.names("publish") for grant in grants)),
        hear=_union(*(spec.heard for spec in specs)),
    )


def _union(*parts: tuple[str, ...]) -> tuple[str, ...]:
    every = {name for part in parts for name in part}
    return (ANYONE,) if ANYONE in every else tuple(sorted(every))
