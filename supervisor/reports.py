"""Events on their way to who records them: bounded, and a flood of one kind is counted instead of sent."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from callboard.clock import Clock
from callboard.errors import Detail

from .messages import Recorded

QUEUE_MOST: Final = 1000
EDGE_MOST: Final = 100
"""Events of one kind, subject, code and sender in one minute; beyond it they are counted."""
_MINUTE: Final = 60.0
_EDGES_MOST: Final = 10_000


class Reports:
    """Collects events without waiting and hands them on one after the other."""

    def __init__(self, deliver: Callable[[Recorded], Awaitable[None]], *, clock: Clock) -> None:
        self._deliver, self._clock = deliver, clock
        self._send, self._receive = anyio.create_memory_object_stream[Recorded](QUEUE_MOST)
        self._edges: dict[tuple[str, ...], int] = {}
        self._minute = 0.0
        self.dropped = 0

    def put(self, kind: str, subject: str, text: str, detail: Detail) -> None:
        """Take an event; when 1,000 wait already, or its edge had its 100 this minute, it is only counted."""
        if not self._admits((kind, subject, str(detail.get("code", "")), str(detail.get("sender", "")))):
            self.dropped += 1
            return
        try:
            self._send.send_nowait(Recorded(kind=kind, subject=subject, text=text[:2000], detail=detail))
        except anyio.WouldBlock:
            self.dropped += 1

    def _admits(self, edge: tuple[str, ...]) -> bool:
        now = self._clock.monotonic()
        if now - self._minute >= _MINUTE or len(self._edges) >= _EDGES_MOST:
            self._edges.clear()
            self._minute = now
        self._edges[edge] = self._edges.get(edge, 0) + 1
        return self._edges[edge] <= EDGE_MOST

    async def run(self) -> None:
        """Hand events on until cancelled; what cannot be delivered is counted."""
        async with self._receive, self._send:
            async for event in self._receive:
                await self._hand_on(event)

    async def _hand_on(self, event: Recorded) -> None:
        counted, self.dropped = self.dropped, 0
        if counted:
            event_text = f"{event.text} (and {counted} more not recorded one by one)"
            event = Recorded(kind=event.kind, subject=event.subject, text=event_text, detail=event.detail)
        await self._deliver(event)
