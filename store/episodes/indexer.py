"""Keeps the index equal to the file: in the background, a little at a time.

The file says what there is. What has no vector gets one, what has one is added, what has gone is removed; when enough
has changed, the index is written to a snapshot. All of it may be interrupted anywhere: at the next start the two sides
are compared as sets of numbers, and the difference is made up. Searches come in between.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from callboard.errors import CallboardError

from . import snapshot, vectors
from .index import VectorIndex

if TYPE_CHECKING:
    from ..database import Database
    from .embedder import Embedder, Vectors

Report = Callable[[str, str], None]
"""Kind and text of an event."""

EMBED: Final = 64
ADD: Final = 64
"""Vectors in one call: a search that comes meanwhile waits for so many."""
LOAD: Final = 400
RETRY: Final = 10.0
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
        self.behind = 0
        """Episodes that wait for their vector."""
        self.changes = 0
        """Since the last snapshot."""
        self.trouble = ""
        self._tainted = False
        """Whether the index still holds what must not be on a disk again."""
        self._changed, self._settled = anyio.Event(), anyio.Event()
        self._busy = anyio.Lock()

    def wake(self, more: int = 0) -> None:
        """Look into the file: `more` episodes have come."""
        self.behind += more
        self._changed.set()

    async def caught_up(self, within: float) -> None:
        """Wait until all that was remembered is found, but not longer than `within` seconds."""
        if self.behind and self.usable and not self.trouble:  # who is away is not waited for at each recall
            with anyio.move_on_after(within):
                while self.behind:
                    await self._settled.wait()

    async def open(self) -> None:
        """See whose vectors are stored, and take the index from the snapshot if it is whole."""
        stored = await self._db.read(vectors.embedder_of)
        self.usable = stored in ("", self.embedder.id)
        self.behind = await self._db.read(vectors.pending_count)
        if not self.usable:
            text = (
                f"its vectors are of {stored}, not of {self.embedder.id}: recall goes by words until 'memory reindex'"
            )
            self._report("memory-embedder-changed", text)
            return
        await self._take_snapshot()

    async def _take_snapshot(self) -> None:
        found = await self._db.read(snapshot.find)
        keep = found if found is not None and found.embedder == self.embedder.id else None
        await anyio.to_thread.run_sync(lambda: snapshot.clear(self._db.path, but=keep.generation if keep else None))
        if keep is None:
            return
        count = len(await self._db.read(lambda conn: vectors.numbers(conn, self.embedder.id)))
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
            await self._compare()
            while waiting := await self._db.read(lambda conn: vectors.pending(conn, EMBED)):
                await self._embed(waiting)
            self.behind = 0
            settled, self._settled = self._settled, anyio.Event()
            settled.set()
            if self._tainted or self.index.removed > REMOVED_MOST * (len(self.index) + self.index.removed):
                await self._build()
            if self.changes >= max(SAVE_FROM, len(self.index) // SAVE_PART):
                await self.save()

    async def _compare(self) -> None:
        stored = await self._db.read(lambda conn: vectors.numbers(conn, self.embedder.id))
        for number in self.index.numbers - stored:
            self.index.remove(number)
            self.changes += 1
        await self._add(self.index, sorted(stored - self.index.numbers))

    async def _add(self, index: VectorIndex, missing: Sequence[int]) -> None:
        """Add vectors that the file has."""
        for start in range(0, len(missing), LOAD):
            part = missing[start : start + LOAD]
            rows = await self._db.read(partial(vectors.load, embedder=self.embedder.id, wanted=part))
            for at in range(0, len(rows), ADD):
                some = rows[at : at + ADD]
                made = vectors.unpacked([data for _, data in some])
                await anyio.to_thread.run_sync(index.add, [number for number, _ in some], made)
                self.changes += len(some)

    async def _embed(self, waiting: list[vectors.Pending]) -> None:
        """Give vectors to episodes, store and add them, and link what is nearly the same."""
        made = await self.embedder.embed([each.text for each in waiting])
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

    async def forget(self, numbers: Sequence[int]) -> None:
        """Find these no more. Their vectors leave the memory too, soon after, when the index has been built anew."""
        for number in numbers:
            if number in self.index.numbers:
                self.index.remove(number)
                self._tainted = True
        self.wake()

    async def _build(self) -> None:
        """Build the index anew beside the old one, and change over."""
        index = VectorIndex(self.embedder.dimensions, room=max(1024, len(self.index)))
        self._tainted = False
        await self._add(index, sorted(await self._db.read(lambda conn: vectors.numbers(conn, self.embedder.id))))
        for number in index.numbers - self.index.numbers:  # removed meanwhile
            index.remove(number)
        self.index, self.changes = index, max(self.changes, SAVE_FROM)

    async def save(self) -> None:
        """Write the index to a snapshot; one with marks of what is gone is built anew first."""
        if self.index.removed:
            await self._build()
        before = await self._db.read(snapshot.find)
        generation, index, embedder = (before.generation if before else 0) + 1, self.index, self.embedder.id
        made = await anyio.to_thread.run_sync(
            lambda: snapshot.write(index, self._db.path, generation=generation, embedder=embedder)
        )
        await self._db.write(lambda conn: snapshot.put(conn, made))
        await anyio.to_thread.run_sync(lambda: snapshot.clear(self._db.path, but=generation))
        self.changes = 0

    async def drop_snapshot(self) -> list[str]:
        """Delete the snapshot; return the files that have gone."""
        await self._db.write(lambda conn: snapshot.put(conn, None))
        return [str(path) for path in await anyio.to_thread.run_sync(lambda: snapshot.clear(self._db.path, but=None))]

    async def reindex(self, embedder: "Embedder", *, progress: Callable[[int], None]) -> int:
        """Make vectors of all episodes by another embedder beside the old ones, then let those count; return how many.

        Recall goes on by the old ones meanwhile. What dies on the way leaves the old ones in force, and the next try
        goes on from there.
        """
        done = 0
        while True:
            done += await self._make_beside(embedder, progress=progress)
            async with self._busy:
                if await self._db.write(lambda conn: vectors.switch(conn, embedder.id)):
                    self.embedder, self.index = embedder, VectorIndex(embedder.dimensions)
                    self.usable, self.changes = True, 0
                    break
        await self.keep_up()
        return done

    async def _make_beside(self, embedder: "Embedder", *, progress: Callable[[int], None]) -> int:
        done, last = 0, 0
        while found := await self._db.read(partial(vectors.lacking, embedder=embedder.id, above=last, limit=EMBED)):
            made = vectors.packed(await embedder.embed([each.text for each in found]))
            rows = [(each.number, data) for each, data in zip(found, made, strict=True)]
            await self._db.write(partial(vectors.put, embedder=embedder.id, rows=rows))
            done, last = done + len(found), found[-1].number
            progress(done)
        return done
