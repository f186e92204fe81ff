"""Which message is to blame when an actor fails or dies again and again. Pure: values in, a decision out.

A message is known by its *content* (actor, type, body): whoever retries it gives it a new id. Blame must not fall on
what was merely there. So a failure counts against a content only if the actor has done well with something else since
the content's last failure: when everything fails, it is not the message. A death of the process or of the actor counts
each time: nothing goes well in between where the first message kills. And blame fades: what did not happen within ten
minutes is forgotten, and a quarantine ends after an hour.
"""

import hashlib
from typing import Final

import msgspec

from callboard.errors import PeerError

from .letter import Letter

CRASHES_MOST: Final = 3
FAILURES_MOST: Final = 5
WITHIN: Final = 600.0
"""Seconds after which a failure or crash is forgotten."""
PAROLE: Final = 3600.0
"""Seconds that a quarantine lasts."""
KNOWN_MOST: Final = 1000
"""Contents counted at once for one actor; the one that failed longest ago makes room."""


class Poisonous(PeerError):
    """The message has crashed or failed its actor again and again, and is in quarantine."""


def digest_of(actor: str, letter: Letter) -> str:
    """Return what a message is known by, whatever its id: 32 hex digits over actor, type and body."""
    made = hashlib.blake2b(f"{actor}\0{letter.envelope.type}\0".encode(), digest_size=16)
    made.update(letter.envelope.body)
    return made.hexdigest()


class Record(msgspec.Struct, frozen=True):
    """What is held against one content: when it failed, and why each time."""

    times: tuple[float, ...] = ()
    whys: tuple[str, ...] = ()
    served: int = -1
    """How many messages the actor had served when this one failed last."""


class Suspects:
    """The record of one actor. `most` failures within ten minutes are enough."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._records: dict[str, Record] = {}

    def __bool__(self) -> bool:
        """Return whether anything is held against any content."""
        return bool(self._records)

    def failed(self, digest: str, why: str, *, now: float, served: int) -> Record | None:
        """Count a failure; return the record when it is one too many. `served`: messages done well so far."""
        old = self._records.pop(digest, Record())
        recent = [(at, said) for at, said in zip(old.times, old.whys, strict=True) if now - at < WITHIN]
        if not recent or served > old.served:
            recent.append((now, why[:500]))
        record = Record(tuple(at for at, _ in recent), tuple(said for _, said in recent), served)
        if len(recent) >= self._most:
            return record
        self._records[digest] = record
        if len(self._records) > KNOWN_MOST:
            del self._records[next(iter(self._records))]
        return None

    def succeeded(self, digest: str) -> None:
        """Forget what was held against a content."""
        self._records.pop(digest, None)
