"""Messages that reached nobody: kept in order while it is found out why, then sent again or given up.

Order holds, because the server says "nobody" to a frame before it passes on anything that this connection said later.
So when the daemon's word on where the actor is comes back, every earlier frame to that address has come back too; what
was spoken to the address meanwhile waits behind them. An unknown name is known to be unknown in one round trip; while
an actor that should be there is not, the frames go and come every few milliseconds, for five seconds at most.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from callboard.clock import Clock
from callboard.errors import CallboardError

from . import codec, subjects
from .envelope import Envelope
from .errors import NoSuchActor, held_error

_RETRY_PAUSE: Final = 0.01
_WITHIN: Final = 5.0
"""Seconds for which an actor may have no home, though the daemon says that it has one."""

_QUIET: Final = 3.0
"""Longer than the daemon may take to say where an actor is."""
_COUNTED: Final = 1024
"""Actors whose time without a home is counted; beyond it all counts begin anew."""
_IN: Final = "in "

Where = Callable[[str], Awaitable[str]]
"""Says how it stands with an actor: up, restarting, held or unknown, or in which cell it lives: ``in <cell>``."""
Move = Callable[[str, str], bool]
"""Has what is sent to an address go to another subject, or if that is empty to itself; says whether that is news."""
GiveUp = Callable[[list[Envelope], CallboardError], None]


class _Waiting:
    """What waits for one address: frames that came back, and what was spoken since."""

    def __init__(self) -> None:
        self.returned: list[bytes] = []
        self.newer: list[bytes] = []


class Homeless:
    """For one endpoint. Bounded by what its senders may have under way: their credit, and their open questions."""

    def __init__(
        self, *, fleet: str, clock: Clock, where: Where, send: Callable[[str, bytes], None], give_up: GiveUp,
        wanted: Callable[[Envelope], bool], move: Move,
    ) -> None:  # fmt: skip
        self._fleet, self._clock = fleet, clock
        self._where, self._send, self._give_up, self._wanted, self._move = where, send, give_up, wanted, move
        self.waiting: dict[str, _Waiting] = {}
        """By address; empty as a rule, which who speaks looks at first."""
        self._since: dict[str, tuple[float, float]] = {}

    def keep(self, subject: str, data: bytes) -> bool:
        """Keep one envelope if others wait for the same address; return whether it was kept."""
        waiting = self.waiting.get(subject)
        if waiting is not None:
            waiting.newer.append(data)
        return waiting is not None

    def ids(self) -> set[str]:
        """Return the ids of all that waits: nobody has received these yet."""
        return {each.id for waiting in self.waiting.values() for each in codec.opened(waiting.returned + waiting.newer)}

    def take(self, subject: str, parts: list[bytes], tasks: TaskGroup) -> None:
        """Take back a frame that reached nobody."""
        waiting = self.waiting.get(subject)
        if waiting is None:
            waiting = self.waiting[subject] = _Waiting()
            tasks.start_soon(self._settle, subject)
        waiting.returned.extend(parts)

    async def _settle(self, subject: str) -> None:
        place = subjects.parse(subject)
        actor, state = place.name, await self._where(place.name)
        moved = self._move(subject, _lodging(place, state))
        if state == "held":
            self._give_up(codec.opened(self._leave(subject)), held_error(actor))
        elif state == "unknown" or self._homeless_for(actor) > _WITHIN:
            why = NoSuchActor(f"no actor named {actor!r} answers in fleet {self._fleet!r}", actor=actor)
            self._give_up(codec.opened(self._leave(subject)), why)
        else:
            if not moved:
                await anyio.sleep(_RETRY_PAUSE)  # the daemon may not have seen the death yet; its understudy will
            for part in self._leave(subject):
                if all(self._wanted(each) for each in codec.opened([part])):
                    self._send(subject, part)

    def _leave(self, subject: str) -> list[bytes]:
        waiting = self.waiting.pop(subject)
        return waiting.returned + waiting.newer

    def _homeless_for(self, actor: str) -> float:
        """Return for how many seconds `actor` has had no home; three quiet ones end the count."""
        now = self._clock.monotonic()
        since, last = self._since.get(actor, (now, now))
        since = now if now - last > _QUIET else since
        if len(self._since) >= _COUNTED:
            self._since.clear()
        self._since[actor] = (since, now)
        return now - since


def _lodging(place: subjects.Place, state: str) -> str:
    """Return the subject at which a spawned actor is spoken to; nothing for all others."""
    if not state.startswith(_IN):
        return ""
    try:
        return subjects.lodging(place.fleet, state.removeprefix(_IN), actor=place.name, sender=place.cell)
    except CallboardError:  # no daemon of ours has said that
        return ""
