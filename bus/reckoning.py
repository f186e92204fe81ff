"""What has become of all that was said to an actor, when its process died or a connection was cut.

Who is at the actor's address now says what it holds. Any other question failed; any other tell is in doubt: handled
just before, or never read.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable

from anyio.abc import TaskGroup

from callboard.errors import CallboardError

from .addresses import Addresses
from .credit import Account
from .envelope import NoticeBody
from .errors import ActorDied, BusUnavailable
from .questions import Questions

WhichHeld = Callable[[str, Iterable[str]], Awaitable[frozenset[str]]]
"""Asks at an actor's address which of the messages named are held there."""
Uncertain = Callable[[str, list[str], str], None]
"""Told of tells in doubt: actor, ids, and why."""


class Reckoning:
    """For one endpoint."""

    def __init__(
        self, questions: Questions, accounts: dict[str, Account], addresses: Addresses, *, which_held: WhichHeld,
        homeless: Callable[[], Collection[str]],
    ) -> None:  # fmt: skip
        self._questions, self._accounts, self._addresses = questions, accounts, addresses
        self._which_held, self._homeless = which_held, homeless
        self.uncertain = 0
        """Tells that were in doubt so far."""
        self.listeners: list[Uncertain] = []

    def _everybody(self) -> set[str]:
        """Return all to whom something was said that is still open."""
        return (self._questions.actors() | self._accounts.keys()) - {""}

    def after_news(self, notice: NoticeBody, tasks: TaskGroup) -> None:
        """Find out, in `tasks`, what those who died or were cut off still hold."""
        spoken_to = self._everybody() if notice.more else {notice.actor}
        for actor in notice.actors:
            self._addresses.forget(actor)
            if actor in spoken_to:
                how = "ended" if notice.what == "ended" else "died"
                died = ActorDied(f"{actor} {how} while it held this question: {notice.why}", actor=actor)
                self._begin(actor, died, tasks)

    def after_gap(self, tasks: TaskGroup) -> None:
        """Find out what all others still hold, since we were cut off ourselves."""
        self._addresses.forget_moves()
        lost = BusUnavailable("the connection was cut: the question or its reply may be lost")
        for actor in self._everybody():
            self._begin(actor, lost, tasks)

    def close(self, notice: NoticeBody, tasks: TaskGroup) -> None:
        """Keep nothing of an actor that will not come back: there may be one for each customer, every day."""
        self.after_news(notice, tasks)
        account = self._accounts.get(notice.actor)
        if account is not None and not account.messages:
            del self._accounts[notice.actor]

    def _begin(self, actor: str, otherwise: CallboardError, tasks: TaskGroup) -> None:
        account = self._accounts.get(actor)
        told = account.reset() if account is not None else []
        asked = self._questions.of(actor, but=self._homeless())  # those have reached nobody yet
        if asked or told:
            tasks.start_soon(self._verify, actor, asked, told, otherwise)

    async def _verify(self, actor: str, asked: list[str], told: list[str], otherwise: CallboardError) -> None:
        try:
            held = await self._which_held(actor, [*asked, *told])
        except CallboardError:
            held = frozenset[str]()
        self._questions.fail((question for question in asked if question not in held), otherwise)
        uncertain = [message for message in told if message not in held]
        if uncertain:
            self.uncertain += len(uncertain)
            for listener in self.listeners:
                listener(actor, uncertain, otherwise.text)
