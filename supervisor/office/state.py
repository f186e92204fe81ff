"""What the office's actor works with: its file, its settings, and what it knows only while its process lives."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from callboard.actors.llm import LlmConfig, in_dollars
from callboard.actors.office import Price
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.store.office import Lost, OfficeFile

from .prices import prices_of
from .rates import Limits

SWEEP_EVERY: Final = 60.0
GRACE: Final = 3_600.0
"""Seconds after the end of its window in which a lease may still be settled: a call may take as long."""
OLDEST: Final = 2 * 86_400.0
"""Seconds after which a lease without a window is taken to be lost."""


class OfficeState:
    """Of one life of the office's cell. `file` opens ``office.db`` at its first use."""

    def __init__(
        self, config: LlmConfig, *, file: Callable[[], Awaitable[OfficeFile]], clock: Clock, homes: Mapping[str, str],
        life: int, report: Callable[[str, str, str], None],
    ) -> None:  # fmt: skip
        self.config, self.file, self.clock, self.homes, self.life = config, file, clock, homes, life
        self.report = report
        self.epochs: dict[str, int] = {}
        """The latest life of each cell that has asked."""
        self.told = set[tuple[str, float]]()
        """Windows of which it was said that they are spent."""
        self.limits = {model.name: Limits(model) for model in config.models}

    async def keep_house(self) -> None:
        """Let go what is over, again and again, until cancelled; what fails now is tried again."""
        while True:
            try:
                file, now = await self.file(), self.clock.now()
                await file.sweep()
                for lost in await file.expire(now - GRACE, made_before=now - OLDEST):
                    self.say_lost(lost, "whoever leased it never said what became of it")
            except CallboardError as error:
                self.report("office-waits", "office", error.text)
            await self.clock.sleep(SWEEP_EVERY)

    def say_lost(self, lost: Lost, why: str) -> None:
        """Record that a lease counts as spent."""
        self.report("money-lost", lost.actor, f"{in_dollars(lost.amount)} counts as spent: {why}")

    @property
    def prices(self) -> dict[str, Price]:
        """The price of each model."""
        return self._priced[0]

    @property
    def unpriced(self) -> list[str]:
        """The models that nobody knows the price of."""
        return self._priced[1]

    @functools.cached_property
    def _priced(self) -> tuple[dict[str, Price], list[str]]:
        """Both, from the package that knows them, which is loaded at the first use."""
        prices, unpriced = prices_of(self.config)
        for name in unpriced:
            text = "nobody knows its price: it counts as the dearest there is; give it a 'price' in its [[model]]"
            self.report("model-unpriced", name, text)
        return prices, unpriced
