"""The contents that one actor refuses, and how they came there: by its own failures, or from before."""

from collections.abc import Callable, Mapping

from callboard.clock import Clock

from .letter import Letter
from .suspects import CRASHES_MOST, FAILURES_MOST, PAROLE, Poisonous, Record, Suspects, digest_of

Confine = Callable[[str, Letter, str, list[str]], None]
"""Takes what was confined, to keep it whole: actor, letter, digest, and what was said each time."""


class Confinement:
    """For one actor. Who meets each message looks at `refused` first, which is empty as a rule."""

    def __init__(self, actor: str, *, clock: Clock, confine: Confine) -> None:
        self._actor, self._clock, self._confine = actor, clock, confine
        self._suspects, self._killers = Suspects(most=FAILURES_MOST), Suspects(most=CRASHES_MOST)
        self.refused: dict[str, float] = {}
        """By digest, until when (Unix seconds)."""
        self._pruned = 0.0

    def put(self, digests: Mapping[str, float]) -> None:
        """Refuse contents until the given times (Unix seconds): what is known from before."""
        self.refused.update(digests)

    def pardon(self, digest: str) -> None:
        """Refuse a content no longer."""
        self.refused.pop(digest, None)

    def objection(self, letter: Letter) -> Poisonous | None:
        """Return why this content is refused, if it is."""
        digest = digest_of(self._actor, letter)
        now = self._clock.now()
        if self.refused.get(digest, 0.0) <= now:
            if now > self._pruned + 60.0:
                self._pruned = now
                self.refused = {known: until for known, until in self.refused.items() if until > now}
            return None
        return Poisonous(
            f"this {letter.envelope.type} has crashed or failed {self._actor} again and again and is in quarantine; "
            f"'callboard dead show {digest[:12]}' says why",
            actor=self._actor, digest=digest,
        )  # fmt: skip

    def failed(self, letter: Letter, why: str, *, handled: int) -> None:
        """Count a failure; `handled`: messages that the actor has done well so far."""
        digest = digest_of(self._actor, letter)
        self._judge(letter, digest, self._suspects.failed(digest, why, now=self._clock.monotonic(), served=handled))

    def crashed(self, letter: Letter, why: str, *, lives: int) -> None:
        """Count a crash of the actor with this message in hand; `lives`: how often it was restarted so far."""
        digest = digest_of(self._actor, letter)
        self._judge(letter, digest, self._killers.failed(digest, why, now=self._clock.monotonic(), served=lives))

    @property
    def suspicious(self) -> bool:
        """Whether anything is held against any content."""
        return bool(self._suspects or self._killers)

    def forgive(self, letter: Letter) -> None:
        """Forget what was held against a content: it has been handled well."""
        if self.suspicious:
            digest = digest_of(self._actor, letter)
            self._suspects.succeeded(digest)
            self._killers.succeeded(digest)

    def _judge(self, letter: Letter, digest: str, record: Record | None) -> None:
        if record is not None:
            self.refused[digest] = self._clock.now() + PAROLE
            self._confine(self._actor, letter, digest, list(record.whys))
