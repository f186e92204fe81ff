"""What is done for the dead: what a cell held is read, answered, told and kept, and what killed it is counted."""

import signal
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from callboard.actors import CRASHES_MOST, FlightReader, Owed, Suspects, digest_of
from callboard.bus import EMPTY, Endpoint
from callboard.clock import Clock

from .autopsy import Autopsy, items_of, settle_death
from .incarnation import End
from .records import Records
from .state import write_private

_FROM_OUTSIDE: Final = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class Coroner:
    """For one cell. `folder` holds its flight record and its latest autopsy."""

    def __init__(self, cell: str, *, endpoint: Endpoint, records: Records, folder: Path, clock: Clock) -> None:
        self._cell, self._endpoint, self._records, self._clock = cell, endpoint, records, clock
        self.flight = folder / f"{cell}.flight"
        self._file = folder / f"{cell}.autopsy.json"
        self._suspects: dict[str, Suspects] = {}

    async def examine(self, end: End, *, epoch: int, blame: bool) -> Autopsy:
        """Answer and record what a dead process held; with `blame`, count its end against what was in hand.

        A death by a signal from outside is held against no message, and none that is too large to be kept whole.

        Raises BusUnavailable or BusClosed when nobody can be answered now; once more is then no harm.
        """
        reader = FlightReader(self.flight)
        head, owed = reader.head(), await anyio.to_thread.run_sync(reader.owed)
        if head is None or head.epoch != epoch:
            owed = []  # of an older process, answered long ago
        answered, lost = settle_death(owed, self._endpoint, why=end.why)
        await self._endpoint.flush()
        found = Autopsy(
            cell=self._cell, epoch=epoch, pid=end.pid, at=self._clock.now(), why=end.why, place=end.place,
            stack=end.stack,
            answered=answered, lost=lost, items=items_of(owed), known=head is not None and head.epoch == epoch,
            unwritten=head.unwritten if head is not None and head.epoch == epoch else 0,
        )  # fmt: skip
        try:
            await anyio.to_thread.run_sync(write_private, self._file, msgspec.json.encode(found))
        except OSError as error:  # a full disk: the event tells the story, without the bodies
            await self._records.add("autopsy-not-kept", self._cell, f"{self._file.name}: {error}")
        from_outside = end.verdict == "crashed" and end.code in _FROM_OUTSIDE
        for each in owed if blame and not from_outside else ():
            if each.status == "in hand" and each.letter.envelope.body != EMPTY:  # a large one is kept without its body
                await self._blame(each, end.why, epoch)
        return found

    def latest(self) -> Autopsy | None:
        """Return the latest autopsy of this cell; blocks on the disk."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Autopsy)
        except (OSError, msgspec.MsgspecError):
            return None

    async def _blame(self, owed: Owed, why: str, epoch: int) -> None:
        suspects = self._suspects.setdefault(owed.actor, Suspects(most=CRASHES_MOST))
        digest = digest_of(owed.actor, owed.letter)
        record = suspects.failed(digest, why, now=self._clock.monotonic(), served=epoch)
        if record is not None:
            await self._records.confine(owed.actor, owed.letter, digest, list(record.whys), "crashed its actor")
