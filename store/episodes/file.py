"""``actors/<actor>.episodes.db``: an actor's long-term memory, with one owner, a thread and an index of its own."""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.background import background
from callboard.clock import Clock
from callboard.errors import CallboardError

from ..database import Database
from ..errors import InvalidEpisode, NoSuchEpisode
from ..lock import OwnerLock
from ..migrations import EPISODES
from ..owner import claim
from ..paths import path_of_episodes
from . import finding, forgetting, letting_go, outcomes, table
from .counting import count
from .episode import Episode, Filter, Link, Recalled, Recollection, checked_filter, checked_message, id_of
from .episode import checked as checked_episode
from .finding import Question
from .index import VectorIndex
from .indexer import Indexer, Report
from .outcomes import Outcome, Touched
from .person import Forgotten, Person
from .query_vectors import QueryVectors
from .recalled import Counts
from .retention import Retention
from .searches import Searches
from .stats import Stats

if TYPE_CHECKING:
    from .embedder import Embedder, Vectors

K_MOST: Final = 100
"""Episodes, and warnings, that one recall gives."""
CATCH_UP_WITHIN: Final = 0.25
"""Seconds that a recall waits for the vectors of what was just remembered."""
HOUSEKEEPING: Final = 5.0
"""Seconds between two rounds; what a killed process has not written of its recalls is counted nowhere."""
SEARCH_MOST: Final = 8000
"""Characters of a query, as of a text that is remembered."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an episode that was remembered."""

    id: str
    new: bool
    """False: the same was there, and has been seen once more."""


class EpisodeFile:
    """An actor's open long-term memory. Made by :meth:`open`, which also closes it."""

    def __init__(self, actor: str, db: Database, indexer: Indexer, *, clock: Clock, keep: Retention) -> None:
        self.actor, self.db, self.indexer = actor, db, indexer
        self._clock, self._keep = clock, keep
        self._searches = Searches()
        self._queries = QueryVectors()
        self._counts = Counts()
        self._trouble = ""
        """Why the last round of housekeeping failed."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, state: Path, actor: str, *, epoch: int, clock: Clock, embedder: "Embedder", report: Report,
        keep: Retention = Retention(), # noqa: B008 - frozen
    ) -> "AsyncGenerator[EpisodeFile, None]":  # fmt: skip
        """Own the long-term memory of `actor` below the folder `state` for the length of an ``async with``.

        Raises what :meth:`ActorFile.open` does. A damaged file is left as it is.
        """
        path = path_of_episodes(state, actor)
        async with Database.open(path, migrations=EPISODES, lock=OwnerLock(path)) as db:
            await db.write(lambda conn: claim(conn, path, actor=actor, epoch=epoch))
            indexer = Indexer(db, embedder, report=report)
            await indexer.open()
            made = cls(actor, db, indexer, clock=clock, keep=keep)
            try:
                async with background() as tasks:
                    tasks.start_soon(indexer.run)
                    tasks.start_soon(made._keep_house)
                    yield made
            finally:
                made._searches.close()
                await made._close(report)

    async def _close(self, report: Report) -> None:
        try:
            with anyio.CancelScope(shield=True):  # bounded by the database's own patience
                await self._flush()
        except CallboardError as error:  # a full disk is no reason to end otherwise than was meant
            report("memory-counts-lost", error.text)

    async def remember(self, episode: Episode, *, message: str = "") -> Kept:
        """Keep an episode; it is in the file on return, and found by words from then on.

        Args:
            episode: what happened.
            message: the id of the message in which it is remembered, by which an outcome finds it.

        Raises:
            InvalidEpisode: a field is not legal.

        """
        whole = checked_episode(episode)
        checked_message(message)
        kept = await self.db.write(lambda conn: self._remember(conn, whole, message))
        self.indexer.wake(1 if kept.new else 0)
        return kept

    def _remember(self, conn: sqlite3.Connection, episode: Episode, message: str) -> Kept:
        id = id_of(episode)  # noqa: A001 - the field's own name
        number = table.number_of(conn, id)
        new = number is None
        if number is None:
            number = table.insert(conn, id, episode, self._clock.now())
        elif not self._made_in(conn, message, number):  # the same message once more is the same sighting
            table.see_again(conn, number, episode, self._clock.now())
        for ref in dict.fromkeys([message, *episode.evidence]):
            if not ref or table.number_of(conn, ref) is not None:
                continue
            if conn.execute("INSERT OR IGNORE INTO made VALUES (?, ?)", (ref, number)).rowcount:
                outcomes.apply_earlier(conn, ref, number)
        return Kept(id=id, new=new)

    def _made_in(self, conn: sqlite3.Connection, message: str, number: int) -> bool:
        sql = "SELECT 1 FROM made WHERE message = ? AND episode = ?"
        return bool(message) and conn.execute(sql, (message, number)).fetchone() is not None

    async def recall(self, query: str, k: int = 5, *, wanted: Filter = Filter(), message: str = "") -> Recollection:  # noqa: B008 - frozen
        """Find up to `k` episodes that are like `query`, and up to `k` warnings.

        Args:
            query: plain words; what is special to a search language is not special here.
            k: 1 to 100.
            wanted: which to consider.
            message: the id of the message for which this is recalled, by which an outcome finds it.

        Raises:
            InvalidEpisode: the query or `k` is not legal.

        """
        checked_message(message)
        found, numbers = await self._find(query, k, wanted)
        self._counts.returned(message, numbers)
        return found

    async def search(self, query: str, k: int = 5, *, wanted: Filter = Filter()) -> Recollection:  # noqa: B008 - frozen
        """Find as :meth:`recall` does, for a person who looks: it counts as no recall."""
        return (await self._find(query, k, wanted))[0]

    async def _find(self, query: str, k: int, wanted: Filter) -> tuple[Recollection, list[int]]:
        text, _ = _checked_query(query, k), checked_filter(wanted)
        await self.indexer.caught_up(CATCH_UP_WITHIN)
        index = self.indexer.index  # this one to the end: a reindex may come between, and change the width
        vector = await self._vector_of(text, index)
        near = [] if vector is None else await self._searches.near(index, vector, finding.most_near(wanted, k))
        question = Question(text=text, k=k, wanted=wanted, now=self._clock.now(), vector=vector, near=near)
        return await self.db.read(lambda conn: finding.find(conn, question, index))

    async def _vector_of(self, text: str, index: VectorIndex) -> "Vectors | None":
        """Return the query's vector; None where there is no way to compare it."""
        if not self.indexer.usable or not len(index):
            return None
        return await self._queries.of(text, self.indexer.embedder)

    async def used(self, message: str, ids: Iterable[str]) -> None:
        """Say which of what was recalled for a message was made use of; an outcome counts for these alone."""
        checked_message(message)
        wanted = [checked_message(each) for each in ids]
        await self._flush()
        await self.db.write(lambda conn: self._counts.use(conn, message, wanted, self._clock.now()))

    async def outcome(self, outcome: Outcome) -> Touched:
        """Take in how a message turned out. Raises InvalidEpisode: a field is not legal."""
        whole = outcomes.checked(outcome)
        await self._flush()
        return await self.db.write(lambda conn: outcomes.said(conn, whole, self._clock.now()))

    async def page(self, *, below: int, limit: int, wanted: Filter) -> list[table.Row]:
        """Return the newest episodes numbered below `below`; `wanted.worked` is taken by the letter."""
        checked_filter(wanted)
        return await self.db.read(
            lambda conn: table.page(conn, below=below, limit=limit, wanted=wanted, now=self._clock.now())
        )

    async def show(self, id: str) -> tuple[Recalled, list[Link], list[str]]:  # noqa: A002 - the field's own name
        """Return an episode, its links, and the ids by which an outcome finds it. Raises NoSuchEpisode."""
        found = await self.db.read(lambda conn: _shown(conn, checked_message(id)))
        if found is None:
            raise NoSuchEpisode(f"{self.actor} remembers nothing under {id!r}", actor=self.actor, id=id)
        return found

    async def would_forget(self, person: Person) -> int:
        """Return how many episodes :meth:`forget` would delete now."""
        return await self.db.read(lambda conn: forgetting.count(conn, forgetting.checked_person(person)))

    async def forget(self, person: Person) -> Forgotten:
        """Delete what concerns a person, or one episode: rows, words, vectors, what is kept of queries.

        Whoever leaves while it runs leaves after it: nothing is forgotten by half.
        """
        with anyio.CancelScope(shield=True):  # bounded by the size of the file
            await self._flush()
            found = await forgetting.forget(self.db, self.indexer, person)
        self._queries.forget()
        return found

    async def reindex(self, embedder: "Embedder", *, progress: Callable[[int], None] = lambda _: None) -> int:
        """Let the vectors of another embedder count, once there is one for each episode; return how many were made."""
        done = await self.indexer.reindex(embedder, progress=progress)
        self._queries.forget()
        self.indexer.wake()
        return done

    async def replace_all(self, change: Callable[[sqlite3.Connection], int]) -> int:
        """Make a change after which no number is the episode that it was, and return what it returns."""
        await self._flush()
        done = await self.indexer.replace_all(change)
        self._counts = Counts()  # of what was recalled before
        return done

    async def stats(self) -> Stats:
        """Return how much this actor knows, and how much of it was of use."""
        trouble = self.indexer.trouble or self._trouble
        try:
            await self._flush()
        except CallboardError as error:  # a full disk, say: what is there can be read all the same
            trouble = error.text
        found = await self.db.read(count)
        return msgspec.structs.replace(found, indexed=len(self.indexer.index), trouble=trouble)

    async def _flush(self) -> None:
        """Write down what was recalled."""
        if self._counts.waiting:
            counts, self._counts = self._counts, Counts()
            try:
                await self.db.write(lambda conn: counts.write(conn, self._clock.now()))
            except CallboardError:  # a full disk, say
                self._counts.join(counts)
                raise

    async def _keep_house(self) -> None:
        while True:
            await anyio.sleep(HOUSEKEEPING)
            try:
                await self.keep_house()
                self._trouble = ""
            except CallboardError as error:
                self._trouble = error.text  # a full disk, say: seen in the stats, tried again

    async def keep_house(self) -> None:
        """Write down what was recalled, and let go what is not to be kept."""
        await self._flush()
        now = self._clock.now()
        gone = 0
        while part := len(await self.db.write(lambda conn: letting_go.drop(conn, self._keep, now))):
            gone += part
        while await self.db.write(lambda conn: letting_go.tidy(conn, now)):
            pass  # a portion at a time: others write in between
        if gone:
            self.indexer.doubt()


def _checked_query(query: str, k: int) -> str:
    if not query.strip() or len(query) > SEARCH_MOST:
        raise InvalidEpisode(f"a query has 1 to {SEARCH_MOST} characters and a word in them")
    if type(k) is not int or not 1 <= k <= K_MOST:
        raise InvalidEpisode(f"recall gives 1 to {K_MOST} episodes, not {k!r}")
    return query.encode("utf-8", "replace").decode()


def _shown(conn: sqlite3.Connection, id: str) -> tuple[Recalled, list[Link], list[str]] | None:  # noqa: A002 - the same
    found = finding.named(conn, id)
    if found is None:
        return None
    sql = (
        "SELECT kind, id, likeness FROM links JOIN episodes ON number = other WHERE episode = ?1 UNION ALL "
        "SELECT CASE kind WHEN 'near' THEN 'near' ELSE 'superseded by' END, id, likeness FROM links "
        "JOIN episodes ON number = episode WHERE other = ?1"
    )
    made = conn.execute("SELECT message FROM made WHERE episode = ? ORDER BY message LIMIT 100", (found[0],))
    return found[1], [Link(*each) for each in conn.execute(sql, (found[0],))], [message for (message,) in made]
