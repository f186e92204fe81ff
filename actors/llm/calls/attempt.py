"""One request to one endpoint, and what is to be written down of it.

What counts is never less than what it may have cost: where nobody can know, because it was cancelled, broke off or came
back without usage, its worst case does.
"""

from typing import Final

import msgspec

from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.ids import new_id
from callboard.store.office import Entry, How

from ...office import Price
from ..errors import AnswerCut, ModelBusy
from ..job import Job
from ..purse.lease import Hold
from ..purse.money import cost_of, is_plausible, size_of
from ..purse.purse import Purse
from ..reply import Reply, Usage
from ..request import Request
from .route import Route

LEAST_TO_ASK: Final = 0.02
"""Seconds with which it is of use to ask at all."""
SERVED_MOST: Final = 200
"""Characters of the name of the model that served."""


class Attempt(msgspec.Struct, eq=False, kw_only=True):
    """One request to one endpoint."""

    job: Job
    route: Route
    request: Request
    price: Price
    hold: Hold | None
    worst: int
    purse: Purse | None
    """Who settles it."""
    until: float = 0.0
    """When the next model is asked, or all is over (monotonic seconds)."""
    entered: bool = False
    """Whether its endpoint's breaker waits to hear how it went."""
    began: float = 0.0
    """Monotonic seconds when it was sent; 0.0: it was not."""
    first: float = 0.0
    served: str = ""
    usage: Usage | None = None

    def take_reply(self, reply: Reply | None) -> None:
        """Take note of an answer, or of what could be read of a bad one."""
        if reply is not None:
            self.take(reply.usage, reply.served)

    def take(self, usage: Usage | None, served: str) -> None:
        """Take note of what the endpoint says, as far as it can be so."""
        self.served = served[:SERVED_MOST] or self.served
        if usage is not None and is_plausible(usage, self.request):
            cached, reasoning = min(usage.cached, usage.input), min(usage.reasoning, usage.output)
            self.usage = msgspec.structs.replace(usage, cached=cached, reasoning=reasoning)

    def cost(self, error: BaseException | None) -> int:
        """Return what it did cost, or could have where nobody knows."""
        if self.usage is not None:
            return cost_of(self.usage, self.price)
        refused = isinstance(error, CallboardError) and error.detail.get("cost") == "nothing"
        return 0 if not self.began or (refused and not self.first) else self.worst

    def settle(self, error: BaseException | None) -> None:
        """Let go what was held of its lease, but for what it did cost."""
        if self.purse is not None and self.hold is not None:
            self.purse.settle(self.hold, self.cost(error))

    def begin(self, clock: Clock) -> float:
        """Note that it is sent now; return how many seconds it has. Raises ModelBusy where none is left."""
        now = clock.monotonic()
        if self.until - now < LEAST_TO_ASK:
            name = self.route.model.name
            raise ModelBusy(f"{name} was not asked: no time was left", model=name, cost="nothing", late=True)
        self.began, self.job.progress.sent = now, True
        return self.until - now

    def entry(self, clock: Clock, error: BaseException | None = None) -> Entry:
        """Return what the ledger says of it now."""
        job, route, usage = self.job, self.route, self.usage or Usage()
        return Entry(
            id=new_id(), at=clock.now(), actor=job.actor, message=job.message, tree=job.tree, tenant=job.tenant,
            asked=route.model.name, endpoint=route.endpoint.name, served=self.served, prompt=job.prompt,
            version=job.version, input=usage.input, output=usage.output, cached=usage.cached,
            reasoning=usage.reasoning, cost=self.cost(error), worst=self.worst,
            input_cost=cost_of(msgspec.structs.replace(usage, output=0), self.price),
            seconds=clock.monotonic() - self.began, first=self.first, how=_how(error),
            why=error.code if isinstance(error, CallboardError) else "",
            lease=self.hold.lease.id if self.hold is not None else 0, chars=size_of(self.request),
        )  # fmt: skip


class Completion(msgspec.Struct, frozen=True):
    """An answer, and what is to be written down of it when it was judged."""

    reply: Reply
    entry: Entry
    model: str
    """Who was asked in the end, by the name that agents use."""


def _how(error: BaseException | None) -> How:
    if error is None:
        return "ok"
    if isinstance(error, AnswerCut):
        return "cut"
    return "failed" if isinstance(error, CallboardError) else "cancelled"
