"""The verbs of long-term memory: ``remember``, ``recall``, ``used`` and ``outcome``.

What an actor remembers is trusted no more than the message in hand; and who recalls what is not trusted is, for the
rest of that message, not trusted either.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from callboard.store import Episode, Filter, Outcome, Recalled, Recollection, Touched, checked_outcome

if TYPE_CHECKING:
    from callboard.store.episodes import EpisodeFile

    from .context import Services
    from .hand import InHand


class LongTerm(Protocol):
    """Where an actor's long-term memory is."""

    async def open_episodes(self) -> "EpisodeFile":
        """Return the actor's long-term memory, opening its file on first use."""
        ...

    async def say_outcome(self, outcome: Outcome) -> Touched:
        """Tell all whom it concerns how a message turned out; raises OutcomeUnheard."""
        ...


class Remembering:
    """The part of a context that has to do with long-term memory."""

    __slots__ = ()
    if TYPE_CHECKING:
        _services: Services
        _hand: InHand | None

    async def remember(self, episode: Episode) -> str:
        """Keep an episode in this actor's long-term memory, and return its id; no model is asked.

        The same content again is the same episode, seen once more. Inside a task it is kept when the task is done.

        Raises:
            InvalidEpisode: a field is not legal.

        """
        memory = await self._services.open_episodes()
        return (await memory.remember(self._own(episode), message=self._message_id())).id

    async def recall(
        self, query: str, k: int = 5, *, worked: bool | None = None, where: Mapping[str, str] | None = None,
        min_trust: int = 0, at: float | None = None,
    ) -> Recollection:  # fmt: skip
        """Find what this actor remembers that is like `query`, by words and by likeness.

        What failed comes apart, in ``warnings``. The trust of the message in hand falls to that of what is found.

        Args:
            query: plain words, 1 to 8,000 characters.
            k: how many episodes, and how many warnings, at most: 1 to 100.
            worked: True: only what is known to have worked, and warnings; False: only warnings.
            where: values that ``about``, ``source`` or a label must have.
            min_trust: 1: nothing that comes from outside; 2: only the owner's.
            at: what was valid at that moment (Unix seconds); default: now.

        Raises:
            InvalidEpisode: the query or `k` is not legal.

        """
        memory = await self._services.open_episodes()
        wanted = Filter(worked=worked, where=where or {}, min_trust=min_trust, at=at)
        found = await memory.recall(query, k, wanted=wanted, message=self._message_id())
        if self._hand is not None:
            self._hand.doubt(found.trust)
        return found

    async def used(self, *episodes: Recalled) -> None:
        """Say which of what was recalled was made use of; an outcome of this message counts for these alone."""
        memory = await self._services.open_episodes()
        await memory.used(self._message_id(), [each.id for each in episodes])

    async def outcome(self, message_id: str, good: bool, why: str = "") -> Touched:
        """Say how a message turned out, and so whether what was remembered in it, or recalled for it, was of use.

        It concerns every actor that remembered or recalled something in that message. Saying the same again changes
        nothing. Inside a task it is said when the task is done.

        Raises:
            InvalidEpisode: the id has not 1 to 200 characters, or `why` more than 1,000.
            OutcomeUnheard: a cell did not answer; say it again.

        """
        return await self._services.say_outcome(self._judgement(message_id, good=good, why=why))

    def _own(self, episode: Episode) -> Episode:
        return msgspec.structs.replace(episode, trust=min(episode.trust, self._believed()))

    def _judgement(self, message_id: str, *, good: bool, why: str) -> Outcome:
        said_by: str = self._services.name
        trust: Any = min(1, self._believed())
        return checked_outcome(Outcome(message=message_id, good=good, why=why, said_by=said_by, trust=trust))

    def _believed(self) -> int:
        hand = self._hand
        return 1 if hand is None else min(hand.letter.trust, hand.believed)

    def _message_id(self) -> str:
        hand = self._hand
        return "" if hand is None else hand.letter.envelope.id
