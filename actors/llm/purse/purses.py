"""The purses of a cell: one for each actor that asks models, or for each of its trees where those have budgets."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from anyio.abc import TaskGroup

from callboard.clock import Clock

from ...office import Terms
from ..job import Job
from ..office_client import OfficeClient
from .purse import Purse

MOST: Final = 1_000
"""Purses from which on those that are empty are forgotten: each tree of messages may leave one."""


class Purses:
    """`tasks` own the leases that are on their way."""

    def __init__(self, office: OfficeClient, *, clock: Clock, tasks: TaskGroup) -> None:
        self._office, self._clock, self._tasks = office, clock, tasks
        self._purses: dict[tuple[str, str], Purse] = {}

    def of(self, job: Job, terms: Terms) -> Purse | None:
        """Return the purse that pays for a job; None where nobody counts."""
        if not terms.metered:
            return None
        place = (job.actor, job.tree if terms.exact else "")
        if (purse := self._purses.get(place)) is None:
            self._forget_empty()
            ask = partial(self._office.money, *place)
            purse = Purse(job.actor, ask, clock=self._clock, tasks=self._tasks, exact=terms.exact)
            self._purses[place] = purse
        return purse

    def idle(self) -> list[int]:
        """Return the leases that are not needed any more, and forget them."""
        done = list(_all(purse.idle() for purse in self._purses.values()))
        self._forget_empty()
        return done

    def unheld(self) -> list[int]:
        """Return all leases of which no call holds anything, and forget them."""
        return list(_all(purse.unheld() for purse in self._purses.values()))

    def end_leases(self) -> None:
        """Let nothing more be held of any lease."""
        for purse in self._purses.values():
            purse.end_leases()

    def _forget_empty(self) -> None:
        if len(self._purses) >= MOST:
            self._purses = {place: purse for place, purse in self._purses.items() if not purse.empty}


def _all(leases: Iterable[list[int]]) -> Iterator[int]:
    for some in leases:
        yield from some
