"""The shell of one supervisor: it tells :func:`.tree.step` what happened and has done what that orders.

Nothing is decided here. `tell` may be called from anywhere on the loop, also by who performs an order: what is told
meanwhile waits in line until the orders before it are done, so each event meets the state that the one before it left.
"""

import random
from typing import Final, Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.clock import Clock
from callboard.once import Once

from .node import Kid, fresh
from .plan import Action, Due, Ended, Escalate, Event, Hold, Mend, Plan, Recovered, Start, Stop, Wait
from .tree import step

EVENTS_EACH: Final = 8
"""Events for each child that may wait in line; more is a shell that answers each order with another event."""


class Hands(Protocol):
    """Who performs the orders, each at once and without waiting for its effect, which comes back as an event."""

    def start(self, name: str) -> None:
        """Begin a life; Exited is told when it is over, also when its start fails."""
        ...

    def stop(self, name: str) -> None:
        """Ask a life to end, by force when its time is up."""
        ...

    def mend(self, name: str, seconds: float) -> None:
        """Make the part that crashed anew after so many seconds, unless this life is over by then."""
        ...

    def hold(self, name: str, why: str) -> None:
        """Refuse its messages until its next start."""
        ...

    def ended(self, name: str) -> None:
        """Take note that it will not come back by itself."""
        ...

    def recovered(self, name: str, crashes: int) -> None:
        """Take note that it serves again."""
        ...

    def escalate(self, why: str) -> None:
        """Tell whoever is above that this group is given up."""
        ...


class Keeper:
    """Keeps one node: its plan, how it stands with it, and the timers of its backoffs, which `tasks` owns."""

    def __init__(self, plan: Plan, hands: Hands, *, clock: Clock, tasks: TaskGroup) -> None:
        self.plan, self.state = plan, fresh(plan)
        self.settled, self.over = Once(), Once()
        """Set when each child runs or is left alone, for the first time; when all were stopped for good."""
        self._hands, self._clock, self._tasks = hands, clock, tasks
        self._line: list[Event] = []
        self._most = EVENTS_EACH * (1 + len(plan.children))
        self._busy = False
        self._timers: dict[str, anyio.CancelScope] = {}

    def kid(self, name: str) -> Kid:
        """Return how it stands with one child."""
        return next(kid for kid in self.state.kids if kid.name == name)

    def forget(self, name: str) -> None:
        """Keep a child no more. It is at rest, and nothing may be told of it from now on."""
        children = tuple(child for child in self.plan.children if child.name != name)
        self.plan = msgspec.structs.replace(self.plan, children=children)
        self.state = msgspec.structs.replace(self.state, kids=tuple(kid for kid in self.state.kids if kid.name != name))
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def tell(self, event: Event) -> None:
        """Let one event happen; returns when its orders are performed, or, told by a performer, when it is in line."""
        if len(self._line) >= self._most:
            raise RuntimeError(
                f"{self._most} events wait in line, the last {self._line[-1]}: this shell turns in circles"
            )
        self._line.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._line:
                self._happen(self._line.pop(0))
        finally:
            self._busy = False

    def _happen(self, event: Event) -> None:
        chance = random.random()  # noqa: S311 - jitter
        self.state, actions = step(self.plan, self.state, event, self._clock.monotonic(), chance)
        for action in actions:
            self._perform(action)
        if self.state.settled:
            self.settled.set()
        if self.state.over:
            self.over.set()
            self.close()

    def _perform(self, action: Action) -> None:
        hands = self._hands
        match action:
            case Start(name):
                hands.start(name)
            case Stop(name):
                hands.stop(name)
            case Wait(name, seconds):
                self._set_timer(name, seconds)
            case Mend(name, seconds):
                hands.mend(name, seconds)
            case Hold(name, why):
                hands.hold(name, why)
            case Ended(name):
                hands.ended(name)
            case Recovered(name, crashes):
                hands.recovered(name, crashes)
            case Escalate(why):
                hands.escalate(why)

    def close(self) -> None:
        """End all timers: nothing is due any more."""
        for scope in self._timers.values():
            scope.cancel()

    def _set_timer(self, name: str, seconds: float) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        scope = self._timers[name] = anyio.CancelScope()
        self._tasks.start_soon(self._time, name, scope, self._clock.monotonic() + seconds)

    async def _time(self, name: str, scope: anyio.CancelScope, due: float) -> None:
        with scope:
            while (left := due - self._clock.monotonic()) > 0:
                await self._clock.sleep(left)
            self.tell(Due(name))
        if self._timers.get(name) is scope:
            del self._timers[name]
