"""What agents know, in words for a terminal."""

from typing import TYPE_CHECKING, Final

from .dates import when

if TYPE_CHECKING:
    from callboard.store import Recalled

    from ..memory.messages import AtHand, Forgot, MemoryOf, Mentioned

_MARKS: Final = {True: "+", False: "-", None: " "}
_TRUST: Final = ("external", "internal", "owner")


def numbers_of(row: "MemoryOf") -> list[str]:
    """Return how much an actor knows."""
    stats, lines = row.stats, [f"{row.actor}: {row.keys} values at hand"]
    if stats is not None:
        kinds = f"{stats.worked} worked, {stats.failed} did not, {stats.untrusted} from outside"
        lines[0] += f", {stats.episodes} episodes ({kinds})"
        lines.append(
            f"  recalled {stats.returned} times, used {stats.used}; helped {stats.helped}, harmed {stats.harmed}; "
            f"{stats.bytes / 1e6:.1f} MB; compared by {row.embedder}"
        )
        if stats.embedder not in ("", row.embedder):
            lines.append(f"  its vectors are of {stats.embedder}: recall goes by words; see 'callboard memory reindex'")
        if stats.waiting:
            why = f": {stats.trouble}" if stats.trouble else ""
            lines.append(f"  {stats.waiting} episodes wait for their vector{why}")
    if row.reindexed is not None:
        lines.append(f"  reindex: {row.reindexed} vectors made")
    return [*lines, *([f"  {row.trouble}"] if row.trouble else [])]


def value_line(row: "AtHand") -> str:
    """Return a value of working memory in one line."""
    return one_line(f"{f'{row.of}: ' if row.of else ''}{row.key}  {row.value[:200]}")


def line_of(row: "Recalled") -> str:
    """Return an episode in one line."""
    episode = row.episode
    about = f"{episode.about}: " if episode.about else ""
    return one_line(f"{row.id} {_MARKS[episode.worked]} {when(row.at)}  {about}{episode.situation[:120]}")


def story_of(row: "Recalled") -> list[str]:
    """Return all of an episode."""
    episode = row.episode
    worked = {True: "it worked", False: "it did not work", None: "nobody knows whether it worked"}[episode.worked]
    until = "now" if episode.valid_until is None else when(episode.valid_until)
    texts = [
        ("about", episode.about), ("what", episode.situation), ("why", episode.cause), ("did", episode.action),
        ("then", episode.outcome), ("verdict", f"{worked}{f': {row.why}' if row.why else ''}"),
        ("source", episode.source), ("evidence", ", ".join(episode.evidence)),
        ("labels", ", ".join(f"{name}={value}" for name, value in episode.labels.items())),
        ("trust", _TRUST[episode.trust]), ("valid", f"{when(episode.valid_from or row.at)} until {until}"),
        ("seen", f"{row.sightings} x, recalled {row.returned}, used {row.used}"),
        ("helped", f"{row.helped} x, harmed {row.harmed}"),
    ]  # fmt: skip
    return [f"{row.id}, {when(row.at)}", *(f"  {name:<14}{one_line(text)}" for name, text in texts if text)]


def one_line(text: str) -> str:
    """Return a text in one line: what an agent was told must not look like a line of ours."""
    return " ".join(text.split())


def mentions_of(found: "Mentioned") -> list[str]:
    """Return who would forget how much."""
    rows = [f"{row.actor}: {row.episodes} episodes and {row.keys} values at hand" for row in found.rows]
    return [*rows, *found.unheard]


def places_of(found: "Forgot") -> list[str]:
    """Return what was forgotten where, and where something may be left."""
    lines: list[str] = []
    for row in found.rows:
        lines.append(f"{row.actor}: {row.episodes} episodes and {row.keys} values at hand are forgotten")
        lines += [f"  swept  {place}" for place in row.places]
    return [*lines, *(f"  left   {place}" for place in found.left)]
