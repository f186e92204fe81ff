"""One call, whole: routed, paid for, paced, made, settled and written down; made again where that is of use."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.store.office import Entry

from ...office import Price
from ..config import LlmConfig
from ..errors import AnswerCut, BadAnswer, ModelBusy, ModelDown, ModelFailed, ModelStalled
from ..job import Job, late
from ..purse.money import likely_tokens, worst_cost
from ..purse.purse import Purse
from ..request import Request
from .attempt import Attempt, Completion
from .breaker import Breaker
from .clients import Clients
from .pace import Pace
from .route import Route, routes_of
from .trying import Tried, rest_before_next

if TYPE_CHECKING:
    from ..door.stream import ModelStream


FIRST_PART: Final = 2 / 3
"""Of the time that is left: what one model may take of it where there is another to ask after it."""


class StepDown(Exception):
    """A budget wants the cheaper model: nothing was asked, and its routes are the ones to try."""


class CallServices(msgspec.Struct, kw_only=True, eq=False):
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

    def __init__(self, services: CallServices) -> None:
        self._services = services

    async def call(self, job: Job, request: Request) -> Completion:
        """Return the answer of the first model that gives one, in the time of the job.

        Raises what :mod:`.errors` names; after the last try that of the last one.
        """
        clock, last = self._services.clock, list[Exception]()
        try:
            with anyio.fail_after(max(0.0, job.end - clock.monotonic())):
                return await self._until_answered(job, request, last)
        except TimeoutError:
            why = getattr(last[-1], "text", str(last[-1])) if last else ""
            raise late(job, why and f"the last try: {why}") from None

    async def _until_answered(self, job: Job, request: Request, last: list[Exception]) -> Completion:
        tried, step_down = Tried(), False
        while True:
            routes = self.routes(job, step_down=step_down)
            try:
                for number, route in enumerate(routes, 1):
                    try:
                        part = 1.0 if number == len(routes) else FIRST_PART
                        return await self._once(job, route, request, part=part, may_step_down=not step_down)
                    except (ModelFailed, BadAnswer) as error:
                        if isinstance(error, AnswerCut):
                            raise  # it would be cut, and paid for, again
                        tried = tried.after(error)
                        last[:] = [error]
            except StepDown:
                step_down = True
                continue
            await self._rest(job, last[-1], tried)

    async def _rest(self, job: Job, error: Exception, tried: Tried) -> None:
        chance = random.random()  # noqa: S311 - it spreads tries
        left = job.until - self._services.clock.monotonic()
        rest = rest_before_next(error, tried, left=left, chance=chance)
        if rest is None:
            raise error
        await self._services.clock.sleep(rest)

    def routes(self, job: Job, *, step_down: bool = False) -> list[Route]:
        """Return whom to ask; raises as :func:`~.route.routes_of`."""
        services = self._services
        return routes_of(
            services.config, job.model, sensitive=job.sensitive, step_down=step_down,
            is_down=lambda route: services.breaker(route.endpoint.name).open or services.pace(route.model.name).resting,
        )  # fmt: skip

    async def _once(self, job: Job, route: Route, request: Request, *, part: float, may_step_down: bool) -> Completion:
        async with self.attempt(job, route, request, may_step_down=may_step_down) as attempt:
            client = await self._services.clients.of(route.endpoint, until=job.until)
            attempt.began = self._services.clock.monotonic()
            try:
                reply = await client.ask(attempt.request, within=part * (job.until - attempt.began))
            except BadAnswer as error:
                attempt.take_reply(error.reply)
                raise
            attempt.take_reply(reply)
        return Completion(reply, attempt.entry(self._services.clock), route.model.name)

    async def stream(self, attempt: Attempt) -> "ModelStream":
        """Return the stream of an attempt, to be entered."""
        client = await self._services.clients.of(attempt.route.endpoint, until=attempt.job.until)
        attempt.began = self._services.clock.monotonic()
        left = attempt.job.until - attempt.began
        return client.stream(attempt.request, within=left, idle=attempt.job.idle)

    @asynccontextmanager
    async def attempt(
        self, job: Job, route: Route, request: Request, *, may_step_down: bool = False
    ) -> AsyncGenerator[Attempt, None]:
        """Have all that one request needs for the length of the block; settle it and, if it fails, write it down."""
        made = await self._paid(job, route, request, may_step_down=may_step_down)
        breaker, failed = self._services.breaker(route.endpoint.name), None
        try:
            await self._services.pace(route.model.name).pass_through(
                job.actor, likely_tokens(made.request), until=job.until
            )
            self._enter(breaker, route)
            yield made
            breaker.succeeded()
        except BaseException as error:
            failed = error
            await self._learn(route, breaker, made, error)
            raise
        finally:
            if self._services.purse is not None and made.hold is not None:
                self._services.purse.settle(made.hold, made.cost(failed))
            if failed is not None and made.began:
                self._services.record(made.entry(self._services.clock, failed))

    async def _paid(self, job: Job, route: Route, request: Request, *, may_step_down: bool) -> Attempt:
        model, purse = route.model, self._services.purse
        request = msgspec.structs.replace(
            request, model=model.model or model.name, extra={**model.send, **request.extra},
            temperature=request.temperature if model.temperature else None,
        )  # fmt: skip
        price = self._services.prices[model.name]
        worst = worst_cost(request, price)
        hold = await purse.take(worst, until=job.until, urgent=job.urgent) if purse is not None and worst else None
        if hold is not None and purse is not None and hold.step_down and may_step_down and model.cheaper:
            purse.settle(hold, 0)
            raise StepDown
        return Attempt(job=job, route=route, request=request, price=price, hold=hold, worst=worst)

    def _enter(self, breaker: Breaker, route: Route) -> None:
        if wait := breaker.enter(self._services.clock.monotonic()):
            name = route.endpoint.name
            text = f"endpoint {name} is left alone for {wait:.1f} s more: {breaker.why}"
            raise ModelDown(text, endpoint=name, cost="nothing", rest=wait)

    async def _learn(self, route: Route, breaker: Breaker, made: Attempt, error: BaseException) -> None:
        """Take note of what a failure says of its endpoint."""
        name, now = route.endpoint.name, self._services.clock.monotonic()
        if isinstance(error, ModelDown | ModelStalled):
            if not error.detail.get("rest"):
                was = breaker.open
                breaker.failed(now, error.text)
                if breaker.open and not was:
                    self._services.report("model-down", name, error.text)
                if isinstance(error, ModelDown):
                    await self._services.clients.leave(name)
        elif isinstance(error, CallboardError) and made.began:
            breaker.succeeded()  # it answered, whatever it was
            if isinstance(error, ModelBusy):
                self._services.pressed(route.model.name, error.wait)
        else:
            breaker.left()
