"""How the limits of a model's endpoint are shared among the cells that ask it, and how they adapt. Pure.

A cell has a share for a term of a few seconds; what is shared out at any moment is never more than the limit. A share
is by the number of actors that wait in a cell, so that each actor has the same, wherever it lives. A cell that comes
when all is shared out waits for the next term to end, and from then on all have less.

An endpoint that says it is asked too much has its limit halved, at most once in a while, and gets it back bit by bit:
additive increase, multiplicative decrease (Chiu and Jain, 1989).
"""

from typing import Final

import msgspec

from callboard.actors.llm import ModelTable
from callboard.actors.office import BURST_TOKENS, Rate

TERM: Final = 3.0
"""Seconds that a share is good for."""
LEAST_REQUESTS: Final = 4.0
"""A minute: of less a bucket would not let a single call through."""
HALVED_FOR: Final = 5.0
"""Seconds in which further complaints are of the same burst."""
BACK_EACH: Final = 0.05
"""Of the limit, with each term without a complaint."""
LOWEST: Final = 1 / 16


class Share(msgspec.Struct, frozen=True):
    """What one cell has."""

    until: float
    actors: int
    requests: float
    tokens: float


class Limits:
    """Of one model. All times are monotonic seconds."""

    def __init__(self, table: ModelTable) -> None:
        self._requests, self._tokens = table.requests_per_minute or 0.0, table.tokens_per_minute or 0.0
        self.factor = 1.0
        """What is left of the limit while the endpoint complains."""
        self._shares: dict[str, Share] = {}
        self._complained = -HALVED_FOR
        self._grown = 0.0
        self._rest_until = 0.0

    @property
    def limited(self) -> bool:
        """Whether there is anything to share out."""
        return bool(self._requests or self._tokens)

    def share(self, cell: str, actors: int, tokens: int, *, now: float) -> Rate:
        """Return the share of a cell, in which so many actors wait, the largest call with so many tokens."""
        self._recover(now)
        most = self._tokens * BURST_TOKENS
        if 0.0 < most < tokens:
            return Rate(most_tokens=most)
        if now < self._rest_until:
            return Rate(most_tokens=most, pause=self._rest_until - now)
        others = {name: share for name, share in self._shares.items() if share.until > now and name != cell}
        mine = _part(actors, others)
        requests = _share(self._requests * self.factor, mine, sum(s.requests for s in others.values()), LEAST_REQUESTS)
        given = _share(self._tokens, mine, sum(s.tokens for s in others.values()), tokens / BURST_TOKENS, self.factor)
        if requests is None or given is None:
            soonest = min(share.until for share in others.values())
            self._shares = others | {cell: Share(now + TERM, actors, 0.0, 0.0)}  # so that the others get less next time
            return Rate(most_tokens=most, pause=max(soonest - now, 0.01))
        self._shares = others | {cell: Share(now + TERM, actors, requests, given)}
        return Rate(requests=requests, tokens=given, most_tokens=most, left=TERM)

    def complain(self, wait: float, *, now: float) -> bool:
        """Take note that the endpoint wants less, after so many seconds of rest; return whether the limit changes."""
        self._rest_until = max(self._rest_until, now + wait)
        if now - self._complained < HALVED_FOR:
            return False
        self._complained = self._grown = now
        self.factor = max(self.factor / 2, LOWEST)
        self._shares.clear()
        return True

    def leave(self, cell: str) -> None:
        """Take back what a cell has: its process has ended."""
        self._shares.pop(cell, None)

    def _recover(self, now: float) -> None:
        terms = int((now - self._grown) / TERM)
        if self.factor < 1.0 and terms > 0:
            self.factor = min(1.0, self.factor + BACK_EACH * terms)
            self._grown = now


def _part(actors: int, others: dict[str, Share]) -> float:
    return actors / (actors + sum(share.actors for share in others.values()))


def _share(limit: float, part: float, taken: float, least: float, factor: float = 1.0) -> float | None:
    """Return a share of `limit`: the part that is fair, or the least that is of use; None if not so much is free.

    0.0: there is no limit.
    """
    if not limit:
        return 0.0
    least = min(least, limit)
    free = limit - taken
    if free < least:
        return None
    return max(least, min(limit * factor * part, free))
