"""A gate that lets one pass at a time, and actors in turn: who asks a lot does not hold up who asks little."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from callboard.once import Turn


class Gate:
    """Among those who wait, the actor that passed longest ago is next, with its oldest call."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Turn]] = {}
        """Of actors with calls that wait, the one that is next first."""
        self._taken = False

    @property
    def waiting(self) -> int:
        """How many actors wait."""
        return len(self._lines)

    @asynccontextmanager
    async def pass_through(self, actor: str) -> AsyncGenerator[None, None]:
        """Wait for a turn and have it for the length of the block."""
        if self._taken or self._lines:
            await self._wait(actor)
        self._taken = True
        try:
            yield
        finally:
            self._next()

    async def _wait(self, actor: str) -> None:
        turn = Turn()
        self._lines.setdefault(actor, deque()).append(turn)
        try:
            await turn.wait()
        except BaseException:
            if not self._leave(actor, turn):
                self._next()  # it came at the very moment when its owner was called away
            raise

    def _leave(self, actor: str, turn: Turn) -> bool:
        """Take a call out of its line; return whether it still stood there."""
        line = self._lines.get(actor, deque[Turn]())
        if turn not in line:
            return False
        line.remove(turn)
        if not line:
            del self._lines[actor]
        return True

    def _next(self) -> None:
        self._taken = bool(self._lines)
        if self._lines:
            actor = next(iter(self._lines))
            line = self._lines.pop(actor)
            turn = line.popleft()
            if line:
                self._lines[actor] = line  # to the end of all lines
            turn.set()
