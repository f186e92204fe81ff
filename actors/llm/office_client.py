"""What a cell asks of the office, each question with its patience. All raise OfficeAway, and what the office does."""

from typing import Final, TypeVar

from callboard.clock import Clock
from callboard.ids import new_id

from ..message import Message
from ..office import (
    Answered,
    AnswersForgotten,
    AskAnswer,
    AskTerms,
    ForgetAnswers,
    Judge,
    Judged,
    Money,
    Pressed,
    Rate,
    Report,
    Reported,
    TakeMoney,
    TakeRate,
    Terms,
)
from .cell_voice import CellVoice
from .purse.lease import Back

R = TypeVar("R", bound=Message)
SHORT: Final = 15.0
"""Seconds for what people wait for, an outcome or forgetting, and for a report."""
LEASE_WITHIN: Final = 30.0
"""Seconds for a lease of money or rate; who has more time asks again."""


class OfficeClient:
    """Of one life of a cell."""

    def __init__(self, voice: CellVoice, *, epoch: int, clock: Clock) -> None:
        self._voice, self._epoch, self._clock = voice, epoch, clock

    async def terms(self, actor: str, *, until: float) -> Terms:
        """Return on which terms an actor asks models."""
        return await self._voice.ask(AskTerms(actor=actor), Terms, until=until)

    async def money(self, actor: str, tree: str, least: int, want: int, *, urgent: bool, back: Back) -> Money:
        """Lease money, in nano-dollars; asked again and again it is one lease."""
        message = TakeMoney(
            id=new_id(), epoch=self._epoch, actor=actor, tree=tree, least=least, want=want, urgent=urgent, back=back
        )  # fmt: skip
        return await self._ask(message, Money, LEASE_WITHIN)

    async def rate(self, model: str, actors: int, tokens: int) -> Rate:
        """Lease a share of a model's limits, for so many actors that wait."""
        message = TakeRate(epoch=self._epoch, model=model, actors=actors, tokens=tokens)
        return await self._ask(message, Rate, LEASE_WITHIN)

    async def press(self, model: str, wait: float) -> None:
        """Say that an endpoint wants less, and to rest for so many seconds."""
        await self._ask(Pressed(model=model, wait=wait), Reported, SHORT)

    async def report(self, report: Report) -> Reported:
        """Tell what calls did."""
        return await self._ask(report, Reported, SHORT)

    async def answer(self, key: bytes, *, until: float) -> Answered:
        """Return what was answered to a question before."""
        return await self._voice.ask(AskAnswer(key=key), Answered, until=until)

    async def judge(self, message: str, *, good: bool) -> Judged:
        """Say how a message turned out."""
        return await self._ask(Judge(message=message, good=good), Judged, SHORT)

    async def forget(self, actor: str, about: str) -> AnswersForgotten:
        """Forget answers that name somebody, or rest on an actor's memory as it was."""
        return await self._ask(ForgetAnswers(actor=actor, about=about), AnswersForgotten, SHORT)

    async def _ask(self, message: Message, reply: type[R], within: float) -> R:
        return await self._voice.ask(message, reply, until=self._clock.monotonic() + within)
