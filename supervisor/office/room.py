"""What the office's actor works with: its file, its settings, and what it knows only while its process lives."""

from collections.abc import Awaitable, Callable, Mapping

from callboard.actors.llm import LlmConfig
from callboard.actors.llm.office import Price
from callboard.clock import Clock
from callboard.store.office import OfficeFile

from .prices import prices_of
from .rates import Limits


class Room:
    """Of one life of the office's cell. `file` opens ``office.db`` at its first use."""

    def __init__(
        self, config: LlmConfig, *, file: Callable[[], Awaitable[OfficeFile]], clock: Clock, homes: Mapping[str, str],
        report: Callable[[str, str, str], None],
    ) -> None:  # fmt: skip
        self.config, self.file, self.clock, self.homes, self.report = config, file, clock, homes, report
        self.epochs: dict[str, int] = {}
        """The latest life of each cell that has asked."""
        self.told = set[tuple[str, float]]()
        """Windows of which it was said that they are spent."""
        self.limits = {model.name: Limits(model) for model in config.models}
        self._prices: dict[str, Price] = {}
        self.unpriced: list[str] = []

    @property
    def prices(self) -> dict[str, Price]:
        """The price of each model; the package that knows them is loaded at the first use."""
        if not self._prices:
            self._prices, self.unpriced = prices_of(self.config)
            for name in self.unpriced:
                text = "nobody knows its price: it counts as the dearest there is; give it a 'price' in its [[model]]"
                self.report("model-unpriced", name, text)
        return self._prices
