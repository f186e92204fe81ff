"""An episode: what happened, why, what was done, and whether it worked. And what a recall gives back."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from ..errors import InvalidEpisode

TEXT_MOST: Final = 8000
"""Characters of one text; more belongs into a file that the episode names."""
REFS_MOST: Final = 64
LABELS_MOST: Final = 16
NAME_MOST: Final = 200

_Text = Annotated[str, msgspec.Meta(max_length=TEXT_MOST)]
_Name = Annotated[str, msgspec.Meta(max_length=NAME_MOST)]
_Refs = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=REFS_MOST)]


class Episode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happened to an actor.

    Two episodes whose texts, `about` and `labels` are the same are the same: remembering it again counts a sighting.
    """

    situation: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MOST)]
    """What happened: what a later recall is compared with."""
    cause: _Text = ""
    """Why."""
    action: _Text = ""
    """What was done."""
    outcome: _Text = ""
    """How it turned out, in words."""
    worked: bool | None = None
    """Whether it did; None: nobody knows yet."""
    about: _Name = ""
    """Whom or what it concerns: a customer, a file. Forgetting a person goes by this."""
    source: _Name = ""
    """Where it is known from."""
    labels: Annotated[dict[_Name, _Name], msgspec.Meta(max_length=LABELS_MOST)] = {}
    """What a recall may ask for exactly."""
    evidence: _Refs = ()
    """Ids of messages and episodes that it rests on. Its trust is not above theirs."""
    trust: Literal[0, 1, 2] = 1
    """0 external, 1 internal, 2 owner; an actor's context lowers it to that of the message in hand."""
    valid_from: float | None = None
    """Unix seconds; None: since it was remembered."""
    valid_until: float | None = None
    """Unix seconds; None: until something supersedes it."""
    supersedes: _Refs = ()
    """Ids of episodes whose validity ends where this one's begins."""


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """An episode as it was found."""

    id: str
    episode: Episode
    score: float
    """By which it was ranked; comparable within one recall only."""
    likeness: float | None
    """Cosine of its vector and the query's; None where words alone were compared."""
    at: float
    """Unix seconds when it was first remembered."""
    sightings: int
    """How often the same was remembered."""
    returned: int
    """How often it was recalled."""
    used: int
    helped: int
    """How often it was recalled for something that turned out well."""
    harmed: int
    why: str = ""
    """What was said of its outcome last."""


class Link(msgspec.Struct, frozen=True):
    """What an episode has to do with another one."""

    kind: Literal["near", "supersedes", "superseded by"]
    id: str
    """Of the other."""
    likeness: float | None


class Recollection(msgspec.Struct, frozen=True, kw_only=True):
    """What a recall found, best first."""

    episodes: list[Recalled] = []
    """What worked, or what nobody knows the outcome of."""
    warnings: list[Recalled] = []
    """What failed."""
    by: Literal["words and vectors", "words"] = "words"
    """``words``: there are no vectors of this embedder, or it is away."""

    @property
    def trust(self) -> int:
        """The least of what was found; 2 if nothing was."""
        return min((each.episode.trust for each in [*self.episodes, *self.warnings]), default=2)


_decoder: Final = msgspec.json.Decoder(Episode)
_encoder: Final = msgspec.json.Encoder(order="deterministic")


def checked(episode: Episode) -> Episode:
    """Return the episode if all of it is legal, which making a struct does not check; raise InvalidEpisode."""
    try:
        found = _decoder.decode(_encoder.encode(episode))
    # The three families that msgspec raises, and what a lone surrogate or a strange object gives.
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidEpisode(f"this cannot be remembered: {error}") from error
    if (found.valid_from, found.valid_until) != (episode.valid_from, episode.valid_until):
        raise InvalidEpisode("a time is in Unix seconds: JSON, and so a memory, knows no NaN and no infinity")
    if not found.situation.strip():
        raise InvalidEpisode("an episode needs a situation: what happened, in words")
    if found.valid_from is not None and found.valid_until is not None and found.valid_until <= found.valid_from:
        raise InvalidEpisode(f"valid from {found.valid_from} until {found.valid_until}: it would never be valid")
    return found


def checked_message(message: str) -> str:
    """Return the id of a message if it may be one; raise InvalidEpisode."""
    try:
        message.encode()
    except UnicodeError as error:
        raise InvalidEpisode(f"{message[:80]!r} is no id of a message: {error}") from error
    return message


def id_of(episode: Episode) -> str:
    """Return the digest of what makes an episode itself: its texts, whom it is about, its labels."""
    texts = (episode.situation, episode.cause, episode.action, episode.outcome, episode.about)
    content = _encoder.encode([*texts, sorted(episode.labels.items())])
    return hashlib.blake2b(content, digest_size=12).hexdigest()


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which episodes a recall considers."""

    worked: bool | None = None
    """True: those whose outcome is known, failures as warnings; False: failures alone; None: all."""
    failures: bool = True
    """False: nothing that failed."""
    where: Mapping[str, str] = {}
    """`about`, `source`, or a label: its value."""
    min_trust: int = 0
    at: float | None = None
    """Valid at that moment (Unix seconds); None: now."""


class _Wanted(msgspec.Struct):
    """The types that a filter has, to be checked."""

    worked: bool | None
    failures: bool
    where: Annotated[dict[_Name, _Name], msgspec.Meta(max_length=LABELS_MOST + 2)]
    min_trust: Literal[0, 1, 2]
    at: float | None


_wanted_decoder: Final = msgspec.json.Decoder(_Wanted)


def checked_filter(wanted: Filter) -> Filter:
    """Return the filter if it can be asked for; raise InvalidEpisode."""
    try:
        found = _wanted_decoder.decode(_encoder.encode(wanted))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidEpisode(f"this cannot be asked for: {error}") from error
    if found.at != wanted.at:
        raise InvalidEpisode(f"valid at {wanted.at}: a time is in Unix seconds")
    return wanted
