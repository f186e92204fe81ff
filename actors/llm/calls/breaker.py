"""A breaker for one endpoint: after failures in a row nobody asks for a while, then one tries. Pure."""

from typing import Final

TRIPS_AFTER: Final = 4
FIRST_REST: Final = 0.5
LONGEST_REST: Final = 5.0


class Breaker:
    """Closed while all is well; open while the endpoint rests; then one may try, and the others wait for how it goes.

    Times are monotonic seconds. A rest doubles each time the one that tries fails too.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.why = ""
        """What went wrong the last time."""
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether the endpoint is taken to be down."""
        return self.failures >= TRIPS_AFTER

    def enter(self, now: float) -> float:
        """Return 0.0 if the caller may ask, and must tell how it went; else after how many seconds to ask again."""
        if not self.open:
            return 0.0
        if now < self._until:
            return self._until - now
        if self._trying:
            return FIRST_REST
        self._trying = True
        return 0.0

    def succeeded(self) -> None:
        """Take note that the endpoint answered, whatever."""
        self.failures, self._trying = 0, False

    def failed(self, now: float, why: str = "") -> None:
        """Take note that it is down."""
        self.why = why
        self.failures, self._trying = self.failures + 1, False
        if self.open:
            self._until = now + min(FIRST_REST * 2.0 ** (self.failures - TRIPS_AFTER), LONGEST_REST)

    def left(self) -> None:
        """Take note that who tried has gone without an answer: the next may try."""
        self._trying = False
