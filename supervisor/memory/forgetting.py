"""Forgetting somebody, of one cell's actors: what would go, what has gone, and what is left."""

from typing import TYPE_CHECKING

from callboard.errors import CallboardError
from callboard.store import NoSuchEpisode, Person, erase, left_in, path_of_actor, would_erase

from .messages import ForgetMemory, Forgot, ForgottenBy, Mentioned, MentionedBy, WouldForget

if TYPE_CHECKING:
    from ..cell import Cell


async def would_forget(cell: "Cell", wish: WouldForget) -> Mentioned:
    """Return how often these actors' memory names somebody."""
    rows = [await _mentioned(cell, actor, wish.about) for actor in cell.actors(wish.actor)]
    return Mentioned(rows=[row for row in rows if row.episodes or row.keys])


async def _mentioned(cell: "Cell", actor: str, about: str) -> MentionedBy:
    episodes = keys = 0
    if cell.memories.exists(actor):
        episodes = await (await cell.memories.of(actor)).would_forget(Person(about=about))
    if path_of_actor(cell.state, actor).exists():
        keys = await would_erase(await cell.file_of(actor), about)
    return MentionedBy(actor, episodes, keys)


async def forget(cell: "Cell", wish: ForgetMemory) -> Forgot:
    """Delete one episode, or all that actors know of somebody; what cannot be reached is said."""
    rows, left = list[ForgottenBy](), list[str]()
    for actor in cell.actors(wish.actor):
        try:
            rows.append(await _forget(cell, actor, wish, left))
        except CallboardError as error:
            if wish.actor:
                raise
            left.append(f"{actor}: not reached: {error.text}")
    return Forgot(rows=rows, left=tuple(left))


async def _forget(cell: "Cell", actor: str, wish: ForgetMemory, left: list[str]) -> ForgottenBy:
    episodes, keys, places = list[str](), list[str](), list[str]()
    if cell.memories.exists(actor):
        found = await (await cell.memories.of(actor)).forget(Person(about=wish.about, id=wish.id))
        episodes, places = found.episodes, found.places
    if wish.about and path_of_actor(cell.state, actor).exists():
        file = await cell.file_of(actor)
        name = file.db.path.name
        keys, swept = await erase(file, wish.about)
        places = [*places, f"{name}: {len(keys)} values of working memory, {swept}"]
        left += [f"{name}: {count} rows of {table}" for table, count in (await left_in(file, wish.about)).items()]
    elif not wish.about and not episodes:
        raise NoSuchEpisode(f"{actor} remembers nothing under {wish.id!r}", actor=actor, id=wish.id)
    places += await cell.thinking.forget(actor, wish.about)
    return ForgottenBy(actor=actor, episodes=len(episodes), keys=len(keys), places=places)
