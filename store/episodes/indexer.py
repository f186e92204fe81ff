"""Keeps the index equal to the file: in the background, a little at a time.

The file says what there is. What has no vector gets one, what has one is added, what has gone is removed; when enough
has changed, the index is written to a snapshot. All of it may be interrupted anywhere: at the next start the two sides
are compared as sets of numbers, and the difference is made up. Searches come in between.
"""

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.to_thread

from callboard.errors import CallboardError

from ..faults import typed
from . import snapshot, vectors
from .index import VectorIndex

if TYPE_CHECKING:
    from ..database import Database
    from .embedder import Embedder, Vectors

T = TypeVar("T")
Report = Callable[[str, str], None]
"""Kind and text of an event."""

EMBED: Final = 64
"""Texts that a model is given at once: what an API takes in one request."""
ADD: Final = 64
"""Vectors in one call: a search that comes meanwhile waits for so many."""
REFUSED_MOST: Final = 3
"""Texts in a row; then it is not they who are to blame, but the embedder is away."""
LOAD: Final = 400
"""Vectors read at once; a statement takes up to 32,766 values."""
RETRY: Final = 10.0
"""Seconds until what failed is tried again, if nothing new comes before."""
SAVE_FROM: Final = 1000
SAVE_PART: Final = 4
"""A snapshot is written when a quarter has changed, and not below `SAVE_FROM` changes."""
REMOVED_MOST: Final = 0.3
"""Part of the index that may be marked as gone before it is built anew."""


class Indexer:
    """For one file. `run` is to be a task as long as the file is open."""

    def __init__(self, db: "Database", embedder: "Embedder", *, report: Report) -> None:
        self._db, self.embedder, self._report = db, embedder, report
        self.index = VectorIndex(embedder.dimensions)
        self.usable = False
        """Whether the stored vectors are of this embedder."""
        self.changes = 0
        """Since the last snapshot."""
        self.trouble = ""
        self._come = self._settled_to = 0
        self._doubts, self._compared_to = 1, 0
        """How often rows were deleted, and after how many of these the index was compared with the file."""
        self._forgotten: set[int] = set()
        """Numbers that may be in the index still, of what must not be on a disk again."""
        self._tainted = False
        """Whether they are."""
        self._forgets = 0
        self._deleting = 0
        """How many are about to delete rows and vectors that no snapshot may hold from then on."""
        self._changed, self._settled = anyio.Event(), anyio.Event()
        self._busy, self._writing = anyio.Lock(), anyio.Lock()

    @property
    def behind(self) -> int:
        """How many episodes may still wait for their vector."""
        return self._come - self._settled_to

    def wake(self, more: int = 0) -> None:
        """Look into the file: `more` episodes have come."""
        self._come += more
        self._changed.set()

    def doubt(self) -> None:
        """Compare the index with the file: rows have gone."""
        self._doubts += 1
        self._changed.set()

    async def caught_up(self, within: float) -> None:
        """Wait until all that was remembered is found, but not longer than `within` seconds.

        Not at all for an embedder that may be slow, or while nothing gets on.
        """
        if self.behind and self.usable and self.embedder.local and not self.trouble:
            with anyio.move_on_after(within):
                upto = self._come
                while self._settled_to < upto:
                    await self._settled.wait()

    async def open(self) -> None:
        """See whose vectors are stored, and take the index from the snapshot if it is whole."""
        stored = await self._db.read(vectors.embedder_of)
        self._come = self._settled_to + await self._db.read(vectors.pending_count)
        width = await self._db.read(partial(vectors.width, embedder=stored))
        of = f"{stored} with {width} numbers" if width else stored
        self.usable = stored in ("", self.embedder.id) and width in (0, self.embedder.dimensions)
        if self.usable:
            await self._take_snapshot()
            return
        mine = f"{self.embedder.id} with {self.embedder.dimensions}"
        text = f"its vectors are of {of}, not of {mine}: recall goes by words until 'memory reindex'"
        self._report("memory-embedder-changed", text)

    async def _take_snapshot(self) -> None:
        found = await self._db.read(snapshot.find)
        keep = found if found is not None and found.embedder == self.embedder.id else None
        await self._on_disk(lambda: snapshot.clear(self._db.path, but=keep.generation if keep else None))
        if keep is None:
            return
        count = len(await self._stored())
        dimensions = self.embedder.dimensions
        index = await anyio.to_thread.run_sync(
            lambda: snapshot.read(keep, self._db.path, dimensions=dimensions, count=count)
        )
        if index is None:
            self._report("memory-index-damaged", f"its snapshot {keep.generation} is not what was written: built anew")
        else:
            self.index = index

    async def run(self) -> None:
        """Keep up until cancelled; what fails is said once and tried again."""
        while True:
            self._changed = anyio.Event()
            try:
                if self.usable:
                    await self.keep_up()
                self.trouble = ""
            except CallboardError as error:
                if error.text != self.trouble:
                    self._report("memory-index-waits", error.text)
                self.trouble = error.text
            with anyio.move_on_after(RETRY if self.trouble else None):
                await self._changed.wait()

    async def keep_up(self) -> None:
        """Make index and file equal."""
        async with self._busy:
            try:
                await self._keep_up()
            except BaseException:  # what was stored may not be added yet
                self._doubts += 1
                raise

    async def _keep_up(self) -> None:
        if (doubts := self._doubts) > self._compared_to:  # it takes as long as there is much in the file
            await self._compare()
            self._compared_to = doubts
        if self._tainted:  # before anything that an embedder can fail at
            await self._build()
        await self._embed_all()
        if self.index.removed > REMOVED_MOST * (len(self.index) + self.index.removed):
            await self._build()
        if self.changes >= max(SAVE_FROM, len(self.index) // SAVE_PART):
            await self._save()

    async def _embed_all(self) -> None:
        """Give a vector to all that wait; what the embedder refuses holds up no other, and is raised at the end."""
        last, refused = 0, list[CallboardError]()
        while True:
            upto = self._come  # what comes after the look may not be in what was seen
            waiting = await self._db.read(partial(vectors.pending, above=last, limit=EMBED))
            if not waiting:
                break
            refused += await self._embed_most(waiting)
            last = waiting[-1].number
        if refused:
            raise refused[0]
        self._settled_to = upto
        settled, self._settled = self._settled, anyio.Event()
        settled.set()

    async def _embed_most(self, waiting: list[vectors.Pending]) -> list[CallboardError]:
        """Try a batch, then each of it alone; return what was said of those that were refused."""
        try:
            await self._embed(waiting)
        except CallboardError as error:
            return [error] if len(waiting) == 1 else await self._embed_each(waiting)
        return []

    async def _embed_each(self, waiting: list[vectors.Pending]) -> list[CallboardError]:
        refused, in_a_row = list[CallboardError](), 0
        for each in waiting:
            try:
                await self._embed([each])
                in_a_row = 0
            except CallboardError as error:
                refused.append(error)
                in_a_row += 1
                if in_a_row == REFUSED_MOST:
                    raise
        return refused

    async def _compare(self) -> None:
        stored = await self._stored()
        gone = await anyio.to_thread.run_sync(self.index.remove, self.index.numbers - stored)
        self._tainted |= not self._forgotten.isdisjoint(gone)
        self.changes += len(gone)
        await self._add(self.index, stored)

    async def _stored(self, embedder: "Embedder | None" = None) -> set[int]:
        of = (embedder or self.embedder).id
        return await self._db.read(lambda conn: vectors.numbers(conn, of))

    async def _add(self, index: VectorIndex, stored: set[int], embedder: "Embedder | None" = None) -> None:
        """Add what the file has and the index has not."""
        missing, of = sorted(stored - index.numbers), (embedder or self.embedder).id
        for start in range(0, len(missing), LOAD):
            part = missing[start : start + LOAD]
            rows = await self._db.read(partial(vectors.load, embedder=of, wanted=part))
            for at in range(0, len(rows), ADD):
                some = rows[at : at + ADD]
                made = vectors.unpacked([data for _, data in some])
                await anyio.to_thread.run_sync(index.add, [number for number, _ in some], made)
                self.changes += len(some)

    async def _embed(self, waiting: list[vectors.Pending]) -> None:
        """Give vectors to episodes, store and add them, and link what is nearly the same."""
        made = await vectors.made_by(self.embedder, [each.text for each in waiting])
        data = vectors.packed(made)
        rows = [(each.number, row) for each, row in zip(waiting, data, strict=True)]
        fresh, numbers = made[[bool(row) for row in data]], [number for number, row in rows if row]
        pairs = await anyio.to_thread.run_sync(self._near, numbers, fresh)
        embedder = self.embedder.id

        def store(conn: sqlite3.Connection) -> set[int]:
            kept = vectors.settle(conn, embedder, rows)
            vectors.link(conn, pairs)
            return kept

        kept = await self._db.write(store)
        some = [at for at, number in enumerate(numbers) if number in kept and number not in self.index.numbers]
        await anyio.to_thread.run_sync(self.index.add, [numbers[at] for at in some], fresh[some])
        self.changes += len(some)

    def _near(self, numbers: list[int], fresh: "Vectors") -> list[tuple[int, int, float]]:
        if not numbers:
            return []
        found = self.index.search(fresh, 2)  # which checks them, before anything is stored
        old = [
            (number, other, likeness)
            for number, row in zip(numbers, found, strict=True)
            for other, likeness in row
            if likeness >= vectors.NEAR and other != number
        ]
        return old + vectors.alike(numbers, fresh)

    @contextmanager
    def deleting(self) -> Generator[None]:
        """Let no snapshot count that is written meanwhile; :meth:`forget` is to be called inside."""
        self._deleting += 1
        try:
            yield
        finally:
            self._deleting -= 1

    async def forget(self, numbers: Sequence[int]) -> list[str]:
        """Find these no more, whose rows are gone, and delete the snapshot; return its files.

        Their vectors leave the memory soon after, when the index has been built anew. One that is being added at this
        moment is seen by the next comparison with the file, and by the next snapshot.
        """
        self._forgotten.update(numbers)
        self._forgets += 1
        async with self._writing:
            gone = await anyio.to_thread.run_sync(self.index.remove, numbers)
            self._tainted |= bool(gone)
            await self._db.write(lambda conn: snapshot.put(conn, None))
            files = await self._on_disk(lambda: snapshot.clear(self._db.path, but=None))
        self.doubt()
        return [path.name for path in files]

    async def _build(self) -> None:
        """Build the index anew beside the old one, and change over."""
        index, forgotten = VectorIndex(self.embedder.dimensions, room=max(1024, len(self.index))), set(self._forgotten)
        await self._add(index, await self._stored())
        await anyio.to_thread.run_sync(index.remove, index.numbers - self.index.numbers)  # removed meanwhile
        self._forgotten -= forgotten
        self._tainted = bool(self._forgotten)
        self.index, self.changes = index, max(self.changes, SAVE_FROM)

    async def save(self) -> None:
        """Write the index to a snapshot now."""
        async with self._busy:
            await self._save()

    async def _save(self) -> None:
        """Write a snapshot; an index with marks of what is gone, or with what is forgotten, is built anew before."""
        self.changes = 0  # also if it fails: a full disk is not tried again at each episode
        while True:
            async with self._writing:
                index = self.index
                if not index.removed and self._forgotten.isdisjoint(index.numbers):
                    await self._write(index)
                    break
            await self._build()
        self.changes = 0

    async def _write(self, index: VectorIndex) -> None:
        before, embedder = await self._db.read(snapshot.find), self.embedder.id
        generation = (before.generation if before else 0) + 1
        made = await self._on_disk(
            lambda: snapshot.write(index, self._db.path, generation=generation, embedder=embedder)
        )
        # What is being forgotten may be in it, and who forgets may not live to delete it.
        await self._db.write(lambda conn: snapshot.put(conn, None if self._deleting else made))
        await self._on_disk(lambda: snapshot.clear(self._db.path, but=generation))

    async def _on_disk(self, fn: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(fn)
        except OSError as error:
            raise typed(error, self._db.path) from error

    async def replace_all(self, change: Callable[[sqlite3.Connection], int]) -> int:
        """Make a change after which no number is the episode that it was, and begin anew, as at opening."""
        with anyio.CancelScope(shield=True):  # between the two the index would lie
            async with self._busy:
                done = await self._db.write(change, committed=self._void)
                await self.open()
        self.doubt()
        return done

    def _void(self, _: int) -> None:
        """Find nothing by likeness from the commit on. On the database's thread."""
        self.index, self.changes = VectorIndex(self.embedder.dimensions), 0
        self._tainted = False
        self._forgotten.clear()  # these numbers are of others now

    async def reindex(self, embedder: "Embedder", *, progress: Callable[[int], None]) -> int:
        """Make vectors of all episodes by another embedder beside the old ones, then let those count; return how many.

        Recall goes on by the old ones meanwhile. What dies on the way leaves the old ones in force, and the next try
        goes on from there.
        """
        done, forgets, index = 0, self._forgets, VectorIndex(embedder.dimensions)
        while True:
            done += await self._make_beside(embedder, progress=progress)
            await self._add(index, await self._stored(embedder), embedder)
            async with self._busy:
                if await self._switch(embedder, index):
                    self._tainted |= forgets != self._forgets
                    break
        await self.keep_up()
        return done

    async def _switch(self, embedder: "Embedder", index: VectorIndex) -> bool:
        """Change over in file and memory: nobody's leaving comes between."""
        with anyio.CancelScope(shield=True):  # one short transaction
            if not await self._db.write(lambda conn: vectors.switch(conn, embedder.id)):
                return False
        self.embedder, self.index, self.usable, self.changes = embedder, index, True, SAVE_FROM
        self.doubt()
        return True

    async def _make_beside(self, embedder: "Embedder", *, progress: Callable[[int], None]) -> int:
        done, last = 0, 0
        while found := await self._db.read(partial(vectors.lacking, embedder=embedder.id, above=last, limit=EMBED)):
            made = vectors.packed(await vectors.made_by(embedder, [each.text for each in found]))
            rows = [(each.number, data) for each, data in zip(found, made, strict=True)]
            await self._db.write(partial(vectors.put, embedder=embedder.id, rows=rows))
            done, last = done + len(found), found[-1].number
            progress(done)
        return done
