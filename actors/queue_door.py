"""The front door of an actor's queue: a task of an outsider is judged here, stored, and its sender told.

Outsiders have no way to the queue itself. The server would answer them at whatever address they name, also at one in
the fleet; it would keep what is no message; and it cannot count how many come.
"""

from typing import Final

from callboard.bus import DOOR, Endpoint, subjects
from callboard.errors import CallboardError
from callboard.ids import new_id

from .door import Door
from .errors import DoorCrowded
from .letter import Letter
from .message import Message
from .replies import Replies

AT_ONCE: Final = 256
"""Tasks of outsiders that are being stored for one actor; who comes meanwhile is told to come again."""
STORE_WITHIN: Final = 5.0
_REST: Final = 0.1


class Stored(Message):
    """The answer at the door: the task is on disk, and will be done or quarantined."""

    actor: str


class QueueDoor:
    """For one actor; `door` judges for its house."""

    def __init__(self, endpoint: Endpoint, door: Door, replies: Replies, *, actor: str) -> None:
        self._endpoint, self._door, self._replies, self._actor = endpoint, door, replies, actor
        self._storing = 0

    def from_outside(self, _subject: str, data: bytes, reply: str) -> None:
        """Take one bare message that is to be done; a receiver."""
        letter, error = self._door.task_from_outside(data, reply)
        if error is None and self._storing >= AT_ONCE:
            text = f"{AT_ONCE} tasks are being stored for {self._actor}: come again"
            error = DoorCrowded(text, actor=self._actor, wait=_REST)
        if error is not None:
            self._replies.fail(letter, error)
            return
        self._storing += 1
        self._endpoint.tasks.start_soon(self._store, data, letter)

    async def _store(self, data: bytes, letter: Letter) -> None:
        endpoint = self._endpoint
        subject = subjects.work(endpoint.fleet, self._actor, lane=DOOR, sender=endpoint.cell)
        try:
            await endpoint.bus.queue.store(subject, data, id=new_id(), timeout=STORE_WITHIN)
        except CallboardError as error:
            self._replies.fail(letter, error)
        else:
            if self._replies.waits(letter):
                self._replies.succeed(letter, Stored(actor=self._actor))
        finally:
            self._storing -= 1
