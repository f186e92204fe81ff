"""Messages that reached nobody: kept in order while it is found out why, then sent again or given up.

Order holds, because the server says "nobody" to a frame before it passes on anything that this connection said later.
So when the daemon's word on where the actor is comes back, every earlier frame to that address has come back too; what
was spoken to the address meanwhile waits behind them. For a spawned actor it is its cell that says so, when it comes to
it: order holds for one life of it, and what was under way when that ended may reach the next one late. An unknown name
is known to be unknown in one round trip; while an actor that should be there is not, the frames go and come every few
milliseconds, for five seconds at most.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from callboard.clock import Clock
from callboard.errors import CallboardError

from . import codec, subjects
from .census import home_in
from .envelope import Envelope
from .errors import NoSuchActor, held_error

_RETRY_PAUSE: Final = 0.01
_WITHIN: Final = 5.0
"""Seconds for which an actor may have no home, though the daemon says that it has one."""
_QUIET: Final = 3.0
"""Longer than the daemon may take to say where an actor is."""
_COUNTED: Final = 1024
"""Actors whose time without a home is counted; beyond it all counts begin anew."""

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
        place, asked_for = subjects.parse(subject), len(self.waiting[subject].returned)
        actor, state = place.name, await self._where(place.name)
        moved = self._move(subject, _lodging(place, state))
        if state == "held":
            self._refuse(subject, asked_for, held_error(actor))
        elif state == "unknown" or (not moved and self._homeless_for(actor) > _WITHIN):
            why = NoSuchActor(f"no actor named {actor!r} answers in fleet {self._fleet!r}", actor=actor)
            self._refuse(subject, asked_for, why)
        else:
            if moved:
                self._since.pop(actor, None)
            else:
                await anyio.sleep(_RETRY_PAUSE)  # the daemon may not have seen the death yet; its understudy will
            self._send_again(subject, self._leave(subject))

    def _refuse(self, subject: str, count: int, error: CallboardError) -> None:
        """Give up the first `count` parts; of the others, which came since, the answer says nothing: they try anew."""
        parts = self._leave(subject)
        self._give_up(codec.opened(parts[:count]), error)
        self._send_again(subject, parts[count:])

    def _send_again(self, subject: str, parts: list[bytes]) -> None:
        for part in parts:
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
    if not (home := home_in(state)):
        return ""
    try:
        return subjects.lodging(place.fleet, home, actor=place.name, sender=place.cell)
    except CallboardError:  # no daemon of ours has said that
        return ""
