"""A message in hand: since when, how far it has come, and what it waits for.

What a handler says of itself is what keeps it alive: each message, ``ctx.progress`` and the end of a wait is progress;
a declared wait names what it waits for and until when. All times are monotonic seconds.
"""

from typing import Any

import anyio
import msgspec

from .letter import Letter


class Wait(msgspec.Struct, eq=False):
    """A declared wait: on a model, a tool, a person or another actor."""

    on: str
    until: float


class InHand(msgspec.Struct, eq=False, gc=False):
    """One message while its handler runs."""

    letter: Letter
    since: float
    scope: anyio.CancelScope
    progressed: float
    until: float = 0.0
    """As its letter says, and what the process was granted since."""
    handler: Any = None
    """The handler's coroutine: where it stands is the evidence if it comes no further."""
    waits: tuple[Wait, ...] = ()
    doing: str = ""
    """What the handler said last of its progress."""
    stalled: str = ""
    """Why it was told to stop; empty while all is well."""
    gone: str = ""
    """Why nobody waits for it any more, and it was told to stop."""
    stopped: float = 0.0
    heads: Any = None
    """Of what its handler says."""
    believed: int = 2
    """The least trust of what its handler has recalled: it is trusted no more than that from then on."""
    wedged: bool = False
    """Whether it was reported that it goes on though it was stopped."""

    def doubt(self, trust: int) -> None:
        """Believe its handler no more than `trust` from now on; what it says is made anew, not as it was before."""
        if trust < self.believed:
            self.believed, self.heads = trust, None

    @property
    def doubted(self) -> bool:
        """Whether its handler has recalled, or was answered, what came from outside, and its message did not."""
        return not self.believed and self.letter.trust > 0

    def leave(self, why: str, now: float) -> None:
        """Stop it: nobody waits for it any more."""
        if not self.stopped:
            self.gone, self.stopped = why, now
        self.scope.cancel()

    def progress(self, now: float, doing: str) -> None:
        """Note that the handler has come further."""
        self.progressed = now
        if doing:
            self.doing = doing

    def allow(self, seconds: float) -> None:
        """Move all limits on: it could not come further while its process did not run."""
        self.progressed += seconds
        self.until += seconds if self.until else 0.0
        self.stopped += seconds
        for wait in self.waits:
            wait.until += seconds

    def begin_wait(self, wait: Wait) -> None:
        """Note a declared wait."""
        self.waits = (*self.waits, wait)

    def end_wait(self, wait: Wait, now: float) -> None:
        """Note that a declared wait is over, which is progress."""
        self.waits = tuple(each for each in self.waits if each is not wait)
        self.progressed = now

    def wait(self) -> Wait | None:
        """Return the declared wait that ends last, or None."""
        return max(self.waits, key=lambda wait: wait.until) if self.waits else None

    def activity(self) -> str:
        """Return in words what it does, as far as it has said."""
        wait = self.wait()
        return f"waiting on {wait.on}" if wait else self.doing
