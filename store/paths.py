"""Where an actor's files are, below the folder of its fleet's state. Both raise InvalidName."""

from pathlib import Path

from callboard.names import checked


def path_of_actor(state: Path, actor: str) -> Path:
    """Return where its tasks and its working memory are."""
    return state / "actors" / f"{checked(actor, 'actor')}.db"


def path_of_episodes(state: Path, actor: str) -> Path:
    """Return where its long-term memory is."""
    return state / "actors" / f"{checked(actor, 'actor')}.episodes.db"
