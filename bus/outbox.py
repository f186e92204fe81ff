"""What one event-loop turn sends to one subject leaves as one frame.

The first message of a turn schedules the flush for the end of that same turn, so a lone message is never delayed and
a burst is never sent one by one. Messages with a common head gather in lines (see :mod:`.batch`), others are parts by
themselves; the order of what is said to one subject is kept. Frames to mailboxes carry a numbered return address and
are remembered until `_REMEMBERED` more have been sent: if nobody was there to take one, the server says so at that
address and the frame is handed back, one message a part.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from callboard.errors import CallboardError

from .batch import BATCH_MOST, BODY_MOST, PLACES, Head, Line, ReplyHead, ReplyLine
from .codec import FRAME_MOST, apart, check_size, join
from .exchange import Exchange
from .interface import Bus

_FRAME_HEAD: Final = 3
_FRAME_BYTES: Final = 64 * 1024
"""A frame is sent once it is this large: beyond it joining costs more in copies than it saves in calls."""
_LINE_ROOM: Final = 4 * 1024
"""Bytes that the head of a line and the marks around its bodies may take."""
_REMEMBERED: Final = 512
_QUESTION: Final = 34
"""Bytes of the id of a question."""

L = TypeVar("L", Line, ReplyLine)
Returned = Callable[[str, list[bytes], CallboardError | None], None]
"""Takes back a frame: its subject, its parts, and why (``None``: nobody was home)."""


class _Frame:
    """What waits for one subject: sealed parts, and the line that is still open."""

    __slots__ = ("line", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.line: Any = None
        """A Line where the subject is a mailbox, a ReplyLine where it is an inbox."""


class Outbox:
    """Coalesces messages into frames. Not thread-safe; belongs to one event loop."""

    def __init__(
        self, bus: Bus, returned: Returned, *, exchange: Exchange | None = None, subject_of: Callable[[str], str] = str
    ) -> None:
        self._bus, self._returned, self._exchange, self._subject_of = bus, returned, exchange, subject_of
        self._frames: dict[str, _Frame] = {}
        self._most = min(_FRAME_BYTES, bus.max_payload)
        self._line_most = self._most - _LINE_ROOM
        self.body_most = min(BODY_MOST, self._most // 4)
        """Bytes of a body that may travel in company."""
        self._scheduled = False
        self._number = 0
        self._sent: OrderedDict[str, tuple[str, list[bytes]]] = OrderedDict()

    # --- gathering

    def add(self, head: Head, body: bytes) -> str:
        """Queue one message of a lean head and a small body behind what was said before; return its id."""
        line, size = head.line, len(body)
        if line is None or line.size + size > self._line_most or len(line.bodies) == head.most:
            line = self._next_line(head)
        bodies = line.bodies
        place = len(bodies)
        bodies.append(body)
        line.size += size
        return line.base + PLACES[place]

    def _next_line(self, head: Head) -> Line:
        """Return a new line; a full one leaves now, but never with what is being added: its sender must know the id."""
        if head.line is not None and len(head.line.bodies) == head.most:
            self._leave(head.address)
        line = head.line = self._open(head.address, Line(head))
        return line

    def answer(self, address: str, head: ReplyHead, question: str, body: bytes) -> None:
        """Queue the reply to one question."""
        line, size = head.line, len(body)
        if line is None or head.address != address or line.size + size > self._line_most:
            line = self._line_to(address, head, size)
        line.questions.append(question)
        line.bodies.append(body)
        line.size += size + _QUESTION
        if len(line.bodies) == BATCH_MOST:
            self._leave(address)

    def _line_to(self, address: str, head: ReplyHead, size: int) -> ReplyLine:
        """Return the open line to an inbox, a new one if there is none with room."""
        frame = self._frames.get(address)
        line: ReplyLine | None = None if frame is None else frame.line
        if line is None or line.head is not head or line.size + size > self._line_most:
            line = self._open(address, ReplyLine(head))
        head.address, head.line = address, line
        return line

    def put(self, subject: str, data: bytes) -> None:
        """Queue one envelope for `subject`; raise MessageTooLarge if it cannot pass even alone."""
        size, most = len(data), self._bus.max_payload
        if size > most:
            check_size(data, most)
        frame = self._frames.get(subject) or self._begin(subject)
        if frame.line is not None:
            self._seal(subject, frame)
        self._append(subject, frame, data)
        if len(frame.parts) == FRAME_MOST:
            self._leave(subject)

    def _begin(self, subject: str) -> _Frame:
        frame = self._frames[subject] = _Frame()
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)
        return frame

    def _open(self, subject: str, line: L) -> L:
        frame = self._frames.get(subject) or self._begin(subject)
        if frame.line is not None:
            self._seal(subject, frame)
        frame.line = line
        return line

    def _seal(self, subject: str, frame: _Frame) -> None:
        line, frame.line = frame.line, None
        if line is not None:
            self._append(subject, frame, line.seal())  # cannot fail: who made the head has tried it

    def _append(self, subject: str, frame: _Frame, data: bytes) -> None:
        size = len(data)
        if frame.parts and frame.size + size + _FRAME_HEAD > self._most:
            self._send(subject, frame.parts)
            frame.parts, frame.size = [], 0
        frame.parts.append(data)
        frame.size += size

    # --- sending

    def _leave(self, subject: str) -> None:
        """Send a full frame now."""
        frame = self._frames.pop(subject)
        self._seal(subject, frame)
        self._send(subject, frame.parts)

    def flush(self) -> None:
        """Send all that is queued, in the order in which the subjects were first spoken to."""
        self._scheduled = False
        frames, self._frames = self._frames, {}
        self._bus.cork()  # all of them in one write
        try:
            for subject, frame in frames.items():
                self._seal(subject, frame)
                self._send(subject, frame.parts)
        finally:
            self._bus.push()

    def _send(self, subject: str, parts: list[bytes]) -> None:
        if self._exchange is not None and (receiver := self._exchange.find(subject)) is not None:
            self._exchange.pass_on(receiver, subject, join(parts))
            return
        reply = self._remember(subject, parts) if subject.startswith("cb.") else ""
        try:
            self._bus.publish(self._subject_of(subject), join(parts), reply=reply)
        except CallboardError as error:
            self._returned(subject, apart(parts), error)

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
            self._returned(frame[0], apart(frame[1]), None)
