"""What one event-loop turn sends to one subject leaves as one frame.

The first message of a turn schedules the flush for the end of that same turn, so a lone message is never delayed and
a burst is never sent one by one. Frames to mailboxes carry a numbered return address and are remembered until
`_REMEMBERED` more have been sent: if nobody was there to take one, the server says so at that address and the frame is
handed back whole.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from callboard.errors import CallboardError

from .codec import FRAME_MOST, check_size, join
from .interface import Bus

_FRAME_HEAD: Final = 3
_FRAME_BYTES: Final = 64 * 1024
"""A frame is sent once it is this large: beyond it joining costs more in copies than it saves in calls."""
_REMEMBERED: Final = 512

Returned = Callable[[str, list[bytes], CallboardError | None], None]
"""Takes back a frame: its subject, its parts, and why (``None``: nobody was home)."""


class Outbox:
    """Coalesces messages into frames. Not thread-safe; belongs to one event loop."""

    def __init__(self, bus: Bus, returned: Returned) -> None:
        self._bus = bus
        self._returned = returned
        self._batches: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}
        self._scheduled = False
        self._number = 0
        self._sent: OrderedDict[str, tuple[str, list[bytes]]] = OrderedDict()

    def put(self, subject: str, data: bytes) -> None:
        """Queue one envelope for `subject`; raise MessageTooLarge if it cannot pass even alone."""
        size, most = len(data), self._bus.max_payload
        if size > most:
            check_size(data, most)
        batch = self._batches.get(subject)
        if batch is not None and self._sizes[subject] + size + _FRAME_HEAD > min(_FRAME_BYTES, most):
            self._send(subject, self._batches.pop(subject))
            batch = None
        if batch is None:
            self._batches[subject] = [data]
            self._sizes[subject] = size
            self._schedule()
            return
        batch.append(data)
        self._sizes[subject] += size
        if len(batch) == FRAME_MOST:
            self._send(subject, self._batches.pop(subject))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send all that is queued, in the order in which the subjects were first spoken to."""
        self._scheduled = False
        batches, self._batches = self._batches, {}
        self._sizes.clear()  # reply addresses come and go: nothing may be kept of them
        for subject, parts in batches.items():
            self._send(subject, parts)

    def _send(self, subject: str, parts: list[bytes]) -> None:
        reply = self._remember(subject, parts) if subject.startswith("cb.") else ""
        try:
            self._bus.publish(subject, join(parts), reply=reply)
        except CallboardError as error:
            self._returned(subject, parts, error)

    def _remember(self, subject: str, parts: list[bytes]) -> str:
        self._number += 1
        self._sent[str(self._number)] = (subject, parts)
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        return f"{self._bus.inbox}.n.{self._number}"

    def nobody_home(self, subject: str, _data: bytes, _reply: str) -> None:
        """Take the server's word that a frame reached nobody; a receiver for ``<inbox>.n.*``."""
        frame = self._sent.pop(subject.rpartition(".")[2], None)
        if frame is not None:
            self._returned(*frame, None)
