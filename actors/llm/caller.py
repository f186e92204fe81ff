"""One call, whole: routed, paid for, paced, made, settled and written down; made again where that is of use.

What is settled is never less than what a request may have cost: where nobody can know, because it was cancelled, broke
off or came back without usage, its worst case counts.
"""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.ids import new_id
from callboard.store.office import Entry, How

from ..office import Price
from .breaker import Breaker
from .clients import Clients
from .config import LlmConfig
from .errors import AnswerCut, BadAnswer, ModelBusy, ModelDown, ModelFailed, ModelStalled
from .job import Job
from .money import cost_of, is_plausible, likely_tokens, size_of, worst_cost
from .pace import Pace
from .purse import Hold, Purse
from .reply import Reply, Usage
from .request import Request
from .route import Route, routes_of
from .trying import Tried, rest_before_next

if TYPE_CHECKING:
    from .door.stream import ModelStream


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
    began: float = 0.0
    """Monotonic seconds when it was sent; 0.0: it was not."""
    first: float = 0.0
    served: str = ""
    usage: Usage | None = None

    def take(self, usage: Usage | None, served: str) -> None:
        """Take note of what the endpoint says, as far as it can be so."""
        self.served = served[:SERVED_MOST] or self.served
        if usage is not None and is_plausible(usage, self.request):
            self.usage = usage

    def cost(self, error: BaseException | None) -> int:
        """Return what it did cost, or could have where nobody knows."""
        if self.usage is not None:
            return cost_of(self.usage, self.price)
        refused = isinstance(error, CallboardError) and error.detail.get("cost") == "nothing"
        return 0 if not self.began or (refused and not self.first) else self.worst


class Called(msgspec.Struct, frozen=True):
    """An answer, and what is to be written down of it when it was judged."""

    reply: Reply
    entry: Entry
    model: str
    """Who was asked in the end, by the name that agents use."""


class _StepDown(Exception):
    """The budget wants the cheaper model."""


class Ways(msgspec.Struct, kw_only=True, eq=False):
    """What a caller needs of its cell, for one actor."""

    config: LlmConfig
    clock: Clock
    clients: Clients
    prices: dict[str, Price]
    purse: Purse | None
    """None: nobody counts."""
    pace: Callable[[str], Pace]
    breaker: Callable[[str], Breaker]
    record: Callable[[Entry], None]
    pressed: Callable[[str, float], None]
    report: Callable[[str, str, str], None]


class Caller:
    """For one job after the other."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    async def call(self, job: Job, request: Request) -> Called:
        """Return the answer of the first model that gives one, in the time of the job.

        Raises what :mod:`.errors` names; after the last try that of the last one.
        """
        clock, last = self._ways.clock, list[Exception]()
        try:
            with anyio.fail_after(max(0.0, job.until - clock.monotonic())):
                return await self._until_answered(job, request, last)
        except TimeoutError:
            raise self._late(job, last[-1] if last else None) from None

    async def _until_answered(self, job: Job, request: Request, last: list[Exception]) -> Called:
        tried, step_down = Tried(), False
        while True:
            routes = self.routes(job, step_down=step_down)
            try:
                for route in routes:
                    try:
                        return await self._once(job, route, request, may_step_down=not step_down)
                    except (ModelFailed, BadAnswer) as error:
                        tried = tried.after(error)
                        last[:] = [error]
            except _StepDown:
                step_down = True
                continue
            await self._rest(job, last[-1], tried)

    async def _rest(self, job: Job, error: Exception, tried: Tried) -> None:
        chance = random.random()  # noqa: S311 - it spreads tries
        left = job.until - self._ways.clock.monotonic()
        rest = rest_before_next(error, tried, left=left, chance=chance)
        if rest is None:
            raise error
        await self._ways.clock.sleep(rest)

    def routes(self, job: Job, *, step_down: bool = False) -> list[Route]:
        """Return whom to ask; raises as :func:`~.route.routes_of`."""
        ways = self._ways
        return routes_of(
            ways.config, job.model, sensitive=job.sensitive, step_down=step_down,
            is_down=lambda name: ways.breaker(name).open,
        )  # fmt: skip

    async def _once(self, job: Job, route: Route, request: Request, *, may_step_down: bool) -> Called:
        async with self.attempt(job, route, request, may_step_down=may_step_down) as attempt:
            client = await self._ways.clients.of(route.endpoint, until=job.until)
            attempt.began = self._ways.clock.monotonic()
            left = job.until - attempt.began
            try:
                reply = await client.ask(attempt.request, within=left)
            except BadAnswer as error:
                self._take(attempt, error.reply)
                raise
            self._take(attempt, reply)
        return Called(reply, self.entry(attempt, None), route.model.name)

    async def stream(self, attempt: Attempt) -> "ModelStream":
        """Return the stream of an attempt, to be entered."""
        client = await self._ways.clients.of(attempt.route.endpoint, until=attempt.job.until)
        attempt.began = self._ways.clock.monotonic()
        left = attempt.job.until - attempt.began
        return client.stream(attempt.request, within=left, idle=attempt.job.idle)

    def _take(self, attempt: Attempt, reply: Reply | None) -> None:
        if reply is not None:
            attempt.take(reply.usage, reply.served)

    @asynccontextmanager
    async def attempt(
        self, job: Job, route: Route, request: Request, *, may_step_down: bool = False
    ) -> AsyncGenerator[Attempt, None]:
        """Have all that one request needs for the length of the block; settle it and, if it fails, write it down."""
        made = await self._paid(job, route, request, may_step_down=may_step_down)
        breaker, failed = self._ways.breaker(route.endpoint.name), None
        try:
            await self._ways.pace(route.model.name).pass_through(job.actor, likely_tokens(made.request))
            self._enter(breaker, route)
            yield made
            breaker.succeeded()
        except BaseException as error:
            failed = error
            await self._learn(route, breaker, made, error)
            raise
        finally:
            if self._ways.purse is not None and made.hold is not None:
                self._ways.purse.settle(made.hold, made.cost(failed))
            if failed is not None and made.began:
                self._ways.record(self.entry(made, failed))

    async def _paid(self, job: Job, route: Route, request: Request, *, may_step_down: bool) -> Attempt:
        model, purse = route.model, self._ways.purse
        request = msgspec.structs.replace(
            request, model=model.model or model.name, extra={**model.send, **request.extra},
            temperature=request.temperature if model.temperature else None,
        )  # fmt: skip
        price = self._ways.prices[model.name]
        worst = worst_cost(request, price)
        hold = await purse.take(worst, until=job.until, urgent=job.urgent) if purse is not None and worst else None
        if hold is not None and purse is not None and hold.step_down and may_step_down and model.cheaper:
            purse.settle(hold, 0)
            raise _StepDown
        return Attempt(job=job, route=route, request=request, price=price, hold=hold, worst=worst)

    def _enter(self, breaker: Breaker, route: Route) -> None:
        if wait := breaker.enter(self._ways.clock.monotonic()):
            name = route.endpoint.name
            text = f"endpoint {name} does not answer, and is left alone for {wait:.1f} s"
            raise ModelDown(text, endpoint=name, cost="nothing", rest=wait)

    async def _learn(self, route: Route, breaker: Breaker, made: Attempt, error: BaseException) -> None:
        """Take note of what a failure says of its endpoint."""
        name, now = route.endpoint.name, self._ways.clock.monotonic()
        if isinstance(error, ModelDown | ModelStalled):
            if not error.detail.get("rest"):
                was = breaker.open
                breaker.failed(now)
                if breaker.open and not was:
                    self._ways.report("model-down", name, error.text)
                await self._ways.clients.leave(name)
        elif isinstance(error, CallboardError) and made.began:
            breaker.succeeded()  # it answered, whatever it was
            if isinstance(error, ModelBusy):
                self._ways.pressed(route.model.name, error.wait)
        else:
            breaker.left()

    def entry(self, attempt: Attempt, error: BaseException | None) -> Entry:
        """Return what the ledger says of an attempt."""
        job, route, usage, clock = attempt.job, attempt.route, attempt.usage or Usage(), self._ways.clock
        return Entry(
            id=new_id(), at=clock.now(), actor=job.actor, message=job.message, tree=job.tree, tenant=job.tenant,
            asked=route.model.name, endpoint=route.endpoint.name, served=attempt.served, prompt=job.prompt,
            version=job.version, input=usage.input, output=usage.output, cached=usage.cached,
            reasoning=usage.reasoning, cost=attempt.cost(error), worst=attempt.worst,
            input_cost=cost_of(msgspec.structs.replace(usage, output=0), attempt.price),
            seconds=clock.monotonic() - attempt.began, first=attempt.first, how=_how(error),
            why=error.code if isinstance(error, CallboardError) else "",
            lease=attempt.hold.lease.id if attempt.hold is not None else 0, chars=size_of(attempt.request),
        )  # fmt: skip

    def _late(self, job: Job, error: Exception | None) -> ModelStalled:
        model = job.model or self._ways.config.default
        why = f"; the last try: {getattr(error, 'text', error)}" if error else ""
        return ModelStalled(f"{job.actor} had no answer of {model} in its time{why}", model=model, cost="unknown")


def _how(error: BaseException | None) -> How:
    if error is None:
        return "ok"
    if isinstance(error, AnswerCut):
        return "cut"
    return "failed" if isinstance(error, CallboardError) else "cancelled"
