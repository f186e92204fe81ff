"""Searches of the index that wait together, as one call.

hnswlib works through many queries with all cores and without the interpreter, one query with one core. So whoever comes
while a call runs waits for the next one, which begins on a thread before the results of this one are handed out. Who is
cancelled leaves at once; a call that has begun runs to its end for the others.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from ..errors import StoreClosed
from ..places import Places
from .index import VectorIndex

if TYPE_CHECKING:
    from .embedder import Vectors

Near = list[tuple[int, float]]
AT_ONCE: Final = 32
"""Half of 64 in flight: so the loop hands out one half while the thread searches for the other."""

WAITING_MOST: Final = 1000
"""Searches; whoever comes then waits for a place."""


class _Asked(msgspec.Struct, eq=False, gc=False):
    index: VectorIndex
    vector: "Vectors"
    most: int
    future: "asyncio.Future[Near]"


class Searches:
    """Searches of any index; those of one call are of the same. To be closed at the end."""

    def __init__(self) -> None:
        # Not anyio: a call that ends begins the next one, also if nobody who waits for it is left to do so.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="callboard-search")
        self._places = Places(WAITING_MOST)
        self._waiting: list[_Asked] = []
        self._busy = self._closed = False

    async def near(self, index: VectorIndex, vector: "Vectors", most: int) -> Near:
        """Return up to `most` numbers and their cosines, the nearest first; raises StoreClosed and BadVector."""
        await self._places.take()
        try:
            return await self._asked(index, vector, most)
        finally:
            self._places.give(1)

    async def _asked(self, index: VectorIndex, vector: "Vectors", most: int) -> Near:
        loop = asyncio.get_running_loop()
        asked = _Asked(index, vector, most, loop.create_future())
        self._waiting.append(asked)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._call, loop)  # for all who come in this turn of the loop
        return await asked.future

    def close(self) -> None:
        """Begin no other call; who waits for one hears so."""
        self._closed = True
        self._thread.shutdown(wait=False)

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        """Search for those who wait, up to a batch of them, if anybody does."""
        waiting = [each for each in self._waiting if not each.future.done()]
        if self._closed:
            self._waiting, self._busy = [], False
            for each in waiting:
                each.future.set_exception(StoreClosed("this memory is closed: the search was not made"))
            return
        batch = [each for each in waiting if each.index is waiting[0].index][:AT_ONCE]
        taken = set(map(id, batch))
        self._waiting = [each for each in waiting if id(each) not in taken]
        self._busy = bool(batch)
        if batch:
            call = loop.run_in_executor(self._thread, _search, batch)
            call.add_done_callback(partial(self._hand_out, loop, batch))

    def _hand_out(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Asked], call: "asyncio.Future[list[Near]]"
    ) -> None:
        self._call(loop)
        error = call.exception()
        for at, each in enumerate(batch):
            if each.future.done():
                continue
            if error is not None:
                each.future.set_exception(error)
            else:
                each.future.set_result(call.result()[at])


def _search(batch: list[_Asked]) -> list[Near]:
    import numpy as np

    found = batch[0].index.search(np.stack([each.vector for each in batch]), max(each.most for each in batch))
    return [near[: each.most] for each, near in zip(batch, found, strict=True)]
