"""Who is above a cell."""

from typing import Protocol

from callboard.actors import Host, InHand, Letter
from callboard.store import Outcome, Touched


class Upward(Protocol):
    """What a cell can tell the daemon that keeps it, without waiting."""

    def confine(self, actor: str, letter: Letter, digest: str, history: list[str]) -> None:
        """Hand over a message that failed too often, and what was said each time."""
        ...

    def wedged(self, host: Host, hand: InHand) -> None:
        """Say that a handler goes on though it was stopped: only the end of the process ends it."""
        ...

    def served(self, actor: str) -> None:
        """Say that the first real message since the start was handled."""
        ...

    async def keep(self, actor: str, letters: list[Letter]) -> int:
        """Give the oldest letters of an actor that stops back for its next life; return how many were taken."""
        ...

    def escalate(self, why: str) -> None:
        """Say that the actors are given up, all of them stopped: the process is to end."""
        ...

    async def pass_outcome(self, outcome: Outcome) -> Touched:
        """Tell the actors of all other cells how a message turned out; raises OutcomeUnheard."""
        ...
