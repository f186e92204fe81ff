"""One call, whole: routed, paid for, paced, made, settled and written down; made again where that is of use."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.store.office import Entry

from ...office import Price
from ..config import LlmConfig
from ..errors import AnswerCut, BadAnswer, ModelBusy, ModelDown, ModelFailed, ModelStalled
from ..job import Job
from ..purse.money import likely_tokens, worst_cost
from ..purse.purse import Purse
from ..request import Request
from .attempt import Attempt, Completion
from .breaker import Breaker
from .clients import Clients
from .pace import Pace
from .route import Route, parts_of, routes_of
from .trying import Tried, rest_before_next, was_late

if TYPE_CHECKING:
    from ..door.stream import ModelStream


LEAST_TO_BLAME: Final = 0.5
"""Seconds that an endpoint must have had, or that it did not answer in its time says nothing of it."""


class StepDown(Exception):
    """A budget wants the cheaper model: nothing was asked, and its routes are the ones to try."""


class CallServices(msgspec.Struct, kw_only=True, eq=False):
    """What a caller needs of its cell."""

    config: LlmConfig
    clock: Clock
    clients: Clients
    terms: Callable[[Job], Awaitable[tuple[Mapping[str, Price], Purse | None]]]
    """What models cost as of now, and who pays for a job; nobody where there is no budget."""
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
        """Return the answer of the first model that gives one.

        Whoever calls it ends it when the job's time is over. Raises what :mod:`.errors` names; after the last try that
        of the last one that says something.
        """
        tried, step_down, last = Tried(), False, None
        while last is None or await self._rested(job, last, tried):
            try:
                for route, part in parts_of(self.routes(job, step_down=step_down)):
                    try:
                        return await self._once(job, route, request, part=part, may_step_down=not step_down)
                    except (ModelFailed, BadAnswer) as error:
                        if isinstance(error, AnswerCut):
                            raise  # it would be cut, and paid for, again
                        tried, last = tried.after(error), last if last and was_late(error) else error
                        job.progress.doing = f"the last try: {last.text}"
            except StepDown:
                step_down = True
        raise last

    async def _rested(self, job: Job, error: CallboardError, tried: Tried) -> bool:
        """Rest before the next try; return whether there is one."""
        chance = random.random()  # noqa: S311 - it spreads tries
        left = job.until - self._services.clock.monotonic()
        rest = rest_before_next(error, tried, left=left, chance=chance)
        if rest is not None:
            await self._services.clock.sleep(rest)
        return rest is not None

    def routes(self, job: Job, *, step_down: bool = False) -> list[Route]:
        """Return whom to ask; raises as :func:`~.route.routes_of`."""
        services = self._services
        return routes_of(
            services.config, job.model, sensitive=job.sensitive, step_down=step_down,
            is_down=lambda route: services.breaker(route.endpoint.name).open or services.pace(route.model.name).resting,
        )  # fmt: skip

    async def _once(self, job: Job, route: Route, request: Request, *, part: float, may_step_down: bool) -> Completion:
        async with self.attempt(job, route, request, part=part, may_step_down=may_step_down) as attempt:
            client = await self._services.clients.of(route.endpoint, until=attempt.until)
            try:
                reply = await client.ask(attempt.request, within=attempt.begin(self._services.clock))
            except BadAnswer as error:
                attempt.take_reply(error.reply)
                raise
            attempt.take_reply(reply)
        return Completion(reply, attempt.entry(self._services.clock), route.model.name)

    async def stream(self, attempt: Attempt) -> "ModelStream":
        """Return the stream of an attempt, to be entered."""
        job = attempt.job
        client = await self._services.clients.of(attempt.route.endpoint, until=attempt.until)
        idle = min(job.idle, attempt.begin(self._services.clock))
        return client.stream(attempt.request, within=job.until - attempt.began, idle=idle)

    @asynccontextmanager
    async def attempt(
        self, job: Job, route: Route, request: Request, *, part: float, may_step_down: bool
    ) -> AsyncGenerator[Attempt, None]:
        """Have all that one request needs for the length of the block; settle it and, if it fails, write it down.

        `part` of the time that is left is for this route.
        """
        made = await self._paid(job, route, request, may_step_down=may_step_down)
        breaker, failed = self._services.breaker(route.endpoint.name), None
        try:
            now = self._services.clock.monotonic()
            made.until = now + part * (job.until - now)
            await self._services.pace(route.model.name).pass_through(
                job.actor, likely_tokens(made.request), until=made.until
            )
            self._enter(breaker, made)
            yield made
            breaker.succeeded()
        except BaseException as error:
            failed = error
            await self._learn(route, breaker, made, error)
            raise
        finally:
            made.settle(failed)
            if failed is not None and made.began:
                self._services.record(made.entry(self._services.clock, failed))

    async def _paid(self, job: Job, route: Route, request: Request, *, may_step_down: bool) -> Attempt:
        model, (prices, purse) = route.model, await self._services.terms(job)
        request = msgspec.structs.replace(
            request, model=model.model or model.name, extra={**model.send, **request.extra},
            temperature=request.temperature if model.temperature else None,
        )  # fmt: skip
        price = prices[model.name]
        worst = worst_cost(request, price)
        hold = await purse.take(worst, until=job.until, urgent=job.urgent) if purse is not None and worst else None
        made = Attempt(job=job, route=route, request=request, price=price, hold=hold, worst=worst, purse=purse)
        wanted = may_step_down and model.cheaper and model.name == job.model
        if wanted and hold is not None and hold.step_down:
            made.settle(None)
            raise StepDown
        return made

    def _enter(self, breaker: Breaker, made: Attempt) -> None:
        if wait := breaker.enter(self._services.clock.monotonic()):
            name = made.route.endpoint.name
            text = f"endpoint {name} is left alone for {wait:.1f} s more: {breaker.why}"
            raise ModelDown(text, endpoint=name, cost="nothing", rest=wait)
        made.entered = True

    async def _learn(self, route: Route, breaker: Breaker, made: Attempt, error: BaseException) -> None:
        """Take note of what a failure says of its endpoint."""
        if not made.entered:
            return
        if isinstance(error, ModelDown) or (isinstance(error, ModelStalled) and self._had_time(made)):
            self._blame(breaker, route.endpoint.name, error)
            if isinstance(error, ModelDown):
                await self._services.clients.leave(route.endpoint.name)
        elif isinstance(error, CallboardError) and made.began and not isinstance(error, ModelStalled):
            breaker.succeeded()  # it answered, whatever it was
            if isinstance(error, ModelBusy):
                self._services.pressed(route.model.name, error.wait)
        else:
            breaker.left()

    def _had_time(self, made: Attempt) -> bool:
        return made.until - made.began >= LEAST_TO_BLAME

    def _blame(self, breaker: Breaker, name: str, error: CallboardError) -> None:
        was = breaker.open
        breaker.failed(self._services.clock.monotonic(), error.text)
        if breaker.open and not was:
            self._services.report("model-down", name, error.text)
