"""How fast one model may be asked by this cell: aiolimiter, at a rate that the office leases for a few seconds.

aiolimiter lets small calls pass a large one for ever, and knows no actors. So one call at a time stands at it, and the
gate before it takes actors in turn.

A bucket lets its size through at once, and after that its rate. So that no minute sees more than the limit, the size
and what leaks in a minute add up to the limit: half of it each for tokens, where one call may be large, and a quarter
and three quarters for requests.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
from aiolimiter import AsyncLimiter

from callboard.clock import Clock

from ...office import BURST_TOKENS, Rate
from ..errors import CallTooLarge, ModelBusy
from .gate import Gate

MINUTE: Final = 60.0
BURST_REQUESTS: Final = 0.25
"""Of its rate a minute, that a cell lets through at once."""
AskRate = Callable[[int, int], Awaitable[Rate]]
"""Asks the office for a rate, for so many actors that wait, and a largest call of so many tokens."""


class Bucket:
    """One leaky bucket whose size changes with each lease; what is in it stays."""

    def __init__(self, burst: float) -> None:
        self._burst = burst
        self._limiter: AsyncLimiter | None = None
        self._rate = 0.0

    def set(self, per_minute: float, least: float = 1.0) -> None:
        """Let through `per_minute` from now on, and one call of `least` at once; 0.0: without limit."""
        size = max(per_minute * self._burst, least)
        if per_minute == self._rate and self._limiter is not None and size <= self._limiter.max_rate:
            return
        self._rate = per_minute
        if not per_minute:
            self._limiter = None
            return
        leak = max(per_minute * (1.0 - self._burst), 0.01)
        old, self._limiter = self._limiter, AsyncLimiter(size, size / leak * MINUTE)
        self._pour_over(old)

    def _pour_over(self, old: AsyncLimiter | None) -> None:
        """Pour over what the old bucket holds: a new one each few seconds would let a burst through each time."""
        if old is not None and self._limiter is not None:
            old.has_capacity(0.0)  # lets it leak until now
            self._limiter._level = old._level  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it has no other way
            self._limiter._last_check = old._last_check  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the same

    async def acquire(self, amount: float) -> None:
        """Wait until there is room."""
        if self._limiter is not None:
            await self._limiter.acquire(min(amount, self._limiter.max_rate))


class Pace:
    """Of one model in one cell."""

    def __init__(self, model: str, ask: AskRate, *, clock: Clock, limited: bool) -> None:
        self._model, self._ask, self._clock, self._limited = model, ask, clock, limited
        self._gate = Gate()
        self._requests, self._tokens = Bucket(BURST_REQUESTS), Bucket(BURST_TOKENS)
        self._rate = Rate()
        self._good_until = 0.0
        self._paused_until = 0.0

    @property
    def resting(self) -> bool:
        """Whether nobody passes now: the endpoint said so."""
        return self._clock.monotonic() < self._paused_until

    async def pass_through(self, actor: str, tokens: int, *, until: float) -> None:
        """Wait until a call of so many tokens may be made.

        Raises CallTooLarge, OfficeAway, and ModelBusy: not until that moment (monotonic seconds), which is said at
        once where the rest that the endpoint wants lasts longer.
        """
        if not self._limited and not self.resting:
            return
        with anyio.move_on_after(max(0.0, until - self._clock.monotonic())):
            async with self._gate.pass_through(actor):
                await self._rested(until)
                if self._limited:
                    await self._refresh(tokens, until)
                    await self._requests.acquire(1.0)
                    await self._tokens.acquire(tokens)
                return
        raise self._busy("its rate did not come to this call in its time", 0.0)

    async def _rested(self, until: float) -> None:
        while (wait := self._paused_until - self._clock.monotonic()) > 0:
            if self._paused_until > until:
                raise self._busy(f"its endpoint wants a rest of {wait:.1f} s more", wait)
            await self._clock.sleep(wait)

    def _busy(self, why: str, wait: float) -> ModelBusy:
        return ModelBusy(f"{self._model} was not asked: {why}", model=self._model, cost="nothing", wait=wait, late=True)

    def rest(self, seconds: float) -> None:
        """Let nobody pass for a while: the endpoint said so."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        self._good_until = 0.0

    async def _refresh(self, tokens: int, until: float) -> None:
        """Have a rate that is good now, and large enough for this call."""
        while self._clock.monotonic() >= self._good_until or 0.0 < self._rate.tokens * BURST_TOKENS < tokens:
            asked = self._clock.monotonic()
            rate = self._rate = await self._ask(self._gate.waiting + 1, tokens)
            if 0.0 < rate.most_tokens < tokens:
                raise CallTooLarge(
                    f"a call of about {tokens} tokens to {self._model}: its rate lets {rate.most_tokens:.0f} through "
                    "at once; shorten the prompt, lower `most`, or raise tokens_per_minute",
                    model=self._model,
                )
            self._good_until = asked + rate.left
            if rate.pause:
                if asked + rate.pause > until:
                    raise self._busy(f"its limit is free again in {rate.pause:.1f} s", rate.pause)
                await self._clock.sleep(rate.pause)
                self._good_until = 0.0
                continue
            self._requests.set(rate.requests)
            self._tokens.set(rate.tokens)
            return
