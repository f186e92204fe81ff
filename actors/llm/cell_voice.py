"""The cell's own voice, to the office, and to the model in the box: who is just starting again is asked again."""

from typing import Final, TypeVar

from callboard.bus import ActorDied, BusUnavailable, DeadlineExceeded, Held, MailboxFull, NoSuchActor
from callboard.clock import Clock
from callboard.names import OFFICE
from callboard.store import StoreError

from ..errors import ActorStopped
from ..message import Message
from ..speaking import Speaker
from .errors import OfficeAway

R = TypeVar("R", bound=Message)
TRY_WITHIN: Final = 5.0
FIRST_REST: Final = 0.05
LONGEST_REST: Final = 1.0
_PASSING: Final = (
    ActorDied, ActorStopped, BusUnavailable, DeadlineExceeded, Held, MailboxFull, NoSuchActor, StoreError,
)  # fmt: skip
"""Of an office that starts again, or whose disk is full: it may answer soon."""


class CellVoice:
    """Speaks with the voice of the cell itself."""

    def __init__(self, voice: Speaker, *, clock: Clock) -> None:
        self._voice, self._clock = voice, clock

    async def ask(self, message: Message, reply: type[R], *, until: float, whom: str = OFFICE) -> R:
        """Return the reply of `whom`, asking until a monotonic moment. Raises OfficeAway, and the errors of `whom`."""
        rest = FIRST_REST
        while True:
            left = until - self._clock.monotonic()
            try:
                if left > 0:
                    return await self._voice.ask(whom, message, timeout=min(TRY_WITHIN, left), reply=reply)
                raise OfficeAway(f"the {whom} could not be asked: no time was left", actor=whom)
            except _PASSING as error:
                left = until - self._clock.monotonic()
                if left <= rest:
                    raise OfficeAway(f"the {whom} did not answer in time: {error.text}", actor=whom) from error
            await self._clock.sleep(rest)
            rest = min(2 * rest, LONGEST_REST)
