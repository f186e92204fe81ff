"""Searches of the index that wait together, as one call.

hnswlib works through many queries with all cores and without the interpreter, one query with one core. So whoever comes
while a call runs waits for the next one. The first of those that wait makes the call for all of them. Who is cancelled
while it makes one finishes it, as the others wait for it, and hands over.
"""

from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from .index import VectorIndex

if TYPE_CHECKING:
    from .embedder import Vectors

Near = list[tuple[int, float]]
AT_ONCE = 64


class _Asked(msgspec.Struct, eq=False):
    index: VectorIndex
    vector: "Vectors"
    most: int
    turn: anyio.Event
    near: Near | None = None
    error: BaseException | None = None


class Searches:
    """Searches of any index; those of one call are of the same."""

    def __init__(self) -> None:
        self._waiting: list[_Asked] = []
        self._busy = False

    async def near(self, index: VectorIndex, vector: "Vectors", most: int) -> Near:
        """Return up to `most` numbers and their cosines, the nearest first."""
        asked = _Asked(index, vector, most, anyio.Event())
        self._waiting.append(asked)
        if self._busy:
            try:
                await asked.turn.wait()
            except BaseException:
                self._leave(asked)
                raise
        if asked in self._waiting:  # else another's call was for this one too
            self._busy = True
            await self._call()
        if asked.error is not None:
            raise asked.error
        return asked.near or []

    async def _call(self) -> None:
        """Search for all that wait, and give the turn to the first of those that have come meanwhile."""
        index = self._waiting[0].index
        batch = [each for each in self._waiting if each.index is index][:AT_ONCE]
        self._waiting = [each for each in self._waiting if each not in batch]
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_search, index, batch)
        finally:
            for each in batch:
                each.turn.set()
            self._hand_over()

    def _leave(self, asked: _Asked) -> None:
        """Wait no more; a turn that was given to who leaves goes to the next."""
        if asked in self._waiting:
            self._waiting.remove(asked)
            if asked.turn.is_set():
                self._hand_over()

    def _hand_over(self) -> None:
        self._busy = bool(self._waiting)
        if self._waiting:
            self._waiting[0].turn.set()


def _search(index: VectorIndex, batch: list[_Asked]) -> None:
    import numpy as np

    try:
        found = index.search(np.stack([each.vector for each in batch]), max(each.most for each in batch))
    except Exception as error:  # noqa: BLE001 - it goes to each who asked
        for each in batch:
            each.error = error
        return
    for each, near in zip(batch, found, strict=True):
        each.near = near[: each.most]
