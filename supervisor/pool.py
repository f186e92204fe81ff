"""The replicas of one actor: one life of them at a time, ended before the next begins.

Where an actor goes down with its siblings it also lives as one: when a replica crashes, the others are ended, and then
the crash is told. Elsewhere a crash of one among several is told at once, and the others serve on meanwhile.
"""

from functools import partial
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from callboard.actors import Crashed, Host, Replica
from callboard.once import Once

END_WITHIN: Final = 2.0
"""Seconds that handlers have to clean up after they were cancelled; who takes longer is left behind."""


class Life:
    """From a start to the end of the last replica."""

    def __init__(self) -> None:
        self.runs: list[anyio.CancelScope] = []
        self.pauses: list[anyio.CancelScope] = []
        self.made: list[anyio.CancelScope] = []
        """Those of `runs` whose object has started."""
        self.started = False
        self.why = ""
        """Why it crashed."""
        self.told = self.over = False
        """It was asked to end; nothing more is told of it."""
        self.counts = True
        """What follows it is a restart."""
        self.gone = Once()


class Audience(Protocol):
    """Who is told how it goes."""

    def made(self, host: Host) -> None:
        """Take note that each replica has started."""
        ...

    def faltered(self, host: Host, why: str) -> None:
        """Take note that one of several replicas crashed, and the others go on."""
        ...

    def crashed(self, host: Host, why: str, *, told: bool) -> None:
        """Take note that a replica crashed; the life goes on to its end. `told`: it was to end anyway."""
        ...

    async def left(self, host: Host) -> None:
        """Take what waits in the mailbox: the address is left for good."""
        ...

    def exited(self, host: Host, life: Life) -> None:
        """Take note that a life is over."""
        ...


class Pool:
    """The replicas of `host`. With `whole` they live and die as one."""

    def __init__(self, host: Host, audience: Audience, *, tasks: TaskGroup, whole: bool) -> None:
        self.host, self.life = host, Life()
        self.life.over = True
        self.why = ""
        """Why it crashed last."""
        self._audience, self._tasks = audience, tasks
        self._apart = host.spec.replicas > 1 and not whole

    def start(self) -> None:
        """Begin a life."""
        self.host.mailbox.recall()
        life = self.life = Life()
        for _ in range(self.host.spec.replicas):
            self._tasks.start_soon(self._run, life)

    def mend(self, seconds: float) -> None:
        """Run another replica after so many seconds, unless this life is over by then."""
        self._tasks.start_soon(self._mend, self.life, seconds)

    def stop(self, *, limit: float, leave: bool) -> None:
        """Let what is in hand end within `limit` seconds, then cancel it. With `leave` the address is left first."""
        self.life.told = True
        if not leave:
            self.host.mailbox.dismiss()
        self._tasks.start_soon(self._stop, self.life, limit, leave)

    def interrupt(self) -> None:
        """Cancel what runs."""
        for scope in [*self.life.runs, *self.life.pauses]:
            scope.cancel()

    def abandon(self) -> Life:
        """Tell nothing more of this life; return it to whoever ends it."""
        self.life.told = self.life.over = True
        return self.life

    async def _stop(self, life: Life, limit: float, leave: bool) -> None:
        for scope in life.pauses:
            scope.cancel()
        if leave:
            await self.host.leave()
            await self._audience.left(self.host)
        await end_within(life, limit)
        self._exit(life)

    async def _mend(self, life: Life, seconds: float) -> None:
        with anyio.CancelScope() as scope:
            life.pauses.append(scope)
            try:
                await self.host.clock.sleep(seconds)
            finally:
                life.pauses.remove(scope)
        if not life.told:
            await self._run(life)

    async def _run(self, life: Life) -> None:
        if life.told:
            self._leave(life, None)
            return
        why: str | None = None
        with anyio.CancelScope() as scope:
            life.runs.append(scope)
            try:
                await Replica(self.host, made=partial(self._made, life, scope)).run()
            except Crashed as crash:
                why = str(crash)
            finally:
                life.runs.remove(scope)
                if scope in life.made:
                    life.made.remove(scope)
        self._leave(life, why)

    def _made(self, life: Life, scope: anyio.CancelScope) -> None:
        life.made.append(scope)
        if len(life.made) == self.host.spec.replicas and not (life.told or life.started):
            life.started = True
            self._audience.made(self.host)

    def _leave(self, life: Life, why: str | None) -> None:
        """Say what became of a replica, and of its life if it was the last."""
        self.why = why or self.why
        if why is not None and self._apart and not (life.told or life.over):
            self._audience.faltered(self.host, why)
        elif why is not None:
            self._audience.crashed(self.host, why, told=life.told or life.over)
            if not life.told:
                life.told, life.why = True, why
                if life.runs:
                    self._tasks.start_soon(self._stop, life, 0.0, False)
        if life.told and not life.runs:
            life.gone.set()
            self._exit(life)

    def _exit(self, life: Life) -> None:
        if not life.over:
            life.over = True
            self._audience.exited(self.host, life)


async def end_within(life: Life, limit: float) -> None:
    """Let the replicas of a life end within `limit` seconds, then cancel them, and wait for their clean-up."""
    with anyio.move_on_after(limit):
        await _gone(life)
    for scope in life.runs:
        scope.cancel()
    with anyio.move_on_after(END_WITHIN):
        await _gone(life)


async def _gone(life: Life) -> None:
    if life.runs:
        await life.gone.wait()
