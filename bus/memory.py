"""The bus of one process: the same promises as NATS without a server, and faults on request.

For tests of what stands on the bus. Messages pass as bytes, so the real codec is always in the way.
"""

import random
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import anyio
import msgspec

from callboard.background import background
from callboard.ids import new_id

from .codec import check_size
from .errors import BusClosed, BusUnavailable
from .interface import END_WITHIN, INBOX_ROOT, BusStatistics, Receiver
from .memory_queue import MemoryQueue, MemoryQueues
from .queue import WorkQueue
from .subjects import check_publishable, matches

_PAYLOAD: Final = 1024 * 1024


class Faults(msgspec.Struct, kw_only=True):
    """Chances, 0.0 to 1.0, that a message is lost, comes twice, or overtakes the one before. Change them at will."""

    lose: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_turns: int = 0
    """Loop turns that each message waits."""


class _Interest:
    def __init__(self, owner: "MemoryBus", subject: str, receiver: Receiver, queue: str) -> None:
        self.owner, self.subject, self.receiver, self.queue = owner, subject, receiver, queue
        self.ended = False

    async def unsubscribe(self) -> None:
        self.owner.broker.drop(self)
        with suppress(BusUnavailable, BusClosed):
            await self.owner.flush(timeout=END_WITHIN)
            self.ended = True


class MemoryBroker:
    """Connects :class:`MemoryBus` objects. `seed` makes its faults and its choice in a queue repeatable."""

    def __init__(self, *, faults: Faults | None = None, seed: int = 0, max_payload: int = _PAYLOAD) -> None:
        self.faults = faults or Faults()
        self.max_payload = max_payload
        self.queues = MemoryQueues()
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, nothing secret
        self.interests: list[_Interest] = []

    def add(self, interest: _Interest) -> None:
        """Take note of an interest."""
        self.interests.append(interest)

    def drop(self, interest: _Interest) -> None:
        """Forget an interest."""
        self.interests = [known for known in self.interests if known is not interest]

    def route(self, subject: str, data: bytes, reply: str) -> None:
        """Deliver one message, as the faults allow."""
        if self._random.random() < self.faults.lose:
            return
        self.queues.keep(subject, data)
        copies = 2 if self._random.random() < self.faults.duplicate else 1
        for _ in range(copies):
            self._deliver(subject, data, reply)

    def _deliver(self, subject: str, data: bytes, reply: str) -> None:
        chosen = self._choose(subject)
        for interest in chosen:
            interest.owner.put(interest, subject, data, reply, self._random.random() < self.faults.reorder)
        if not chosen and reply:
            self._deliver(reply, b"", "")

    def _choose(self, subject: str) -> list[_Interest]:
        alone: list[_Interest] = []
        groups: dict[str, list[_Interest]] = {}
        for interest in self.interests:
            if not interest.owner.cut and matches(interest.subject, subject):
                (groups.setdefault(interest.queue, []) if interest.queue else alone).append(interest)
        return alone + [self._random.choice(group) for group in groups.values()]

    def bus(self) -> "MemoryBus":
        """Return a new connection to this broker."""
        return MemoryBus(self)


class MemoryBus:
    """A :class:`~callboard.bus.Bus` without a network. Use as ``async with broker.bus() as bus``."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.inbox = f"{INBOX_ROOT}.{new_id()}"
        self.max_payload = broker.max_payload
        self.queue: WorkQueue = MemoryQueue(broker.queues, max_payload=broker.max_payload)
        self.cut = False
        self._waiting: deque[tuple[_Interest, str, bytes, str]] = deque()
        self._arrived = anyio.Event()
        self._closed = anyio.Event()
        self._why = ""
        self._gaps: list[Callable[[], None]] = []
        self._sent = self._received = self._refused = self._reconnects = 0

    async def __aenter__(self) -> "MemoryBus":
        self._stack = AsyncExitStack()
        tasks = await self._stack.enter_async_context(background())
        tasks.start_soon(self._pump)
        return self

    async def __aexit__(self, *exc: Any) -> bool | None:
        self.close("closed by its owner")
        return await self._stack.__aexit__(*exc)

    def put(self, interest: _Interest, subject: str, data: bytes, reply: str, overtake: bool) -> None:
        """Queue a message for this connection; called by the broker."""
        entry = (interest, subject, data, reply)
        if overtake and self._waiting:
            self._waiting.insert(len(self._waiting) - 1, entry)
        else:
            self._waiting.append(entry)
        self._arrived.set()

    async def _pump(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived = anyio.Event()
            for _ in range(self.broker.faults.delay_turns):
                await anyio.lowlevel.checkpoint()
            while self._waiting:
                self._hand_over(*self._waiting.popleft())

    def _hand_over(self, interest: _Interest, subject: str, data: bytes, reply: str) -> None:
        if self.cut or interest.ended or self._closed.is_set():
            return
        self._received += 1
        try:
            interest.receiver(subject, data, reply)
        except Exception:  # noqa: BLE001 - as on the wire: counted, never the end of the reader
            self._refused += 1

    def publish(self, subject: str, data: bytes, *, reply: str = "") -> None:
        """Hand over one message."""
        self._check_open()
        check_size(data, self.max_payload)
        check_publishable(subject)
        if reply:
            check_publishable(reply)
        if self.cut:
            raise BusUnavailable("this in-memory bus is disconnected")
        self._sent += 1
        self.broker.route(subject, bytes(data), reply)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise BusClosed(f"this in-memory bus has ended: {self._why}", why=self._why)

    def cork(self) -> None:
        """Do nothing: there is no buffer in between."""

    def push(self) -> None:
        """Do nothing: there is no buffer in between."""

    @property
    def congested(self) -> bool:
        """Never: there is no buffer in between."""
        return False

    async def settle(self) -> None:
        """Give the receivers a turn."""
        await anyio.lowlevel.checkpoint()

    async def flush(self, *, timeout: float = 5.0) -> None:
        """Wait until this connection has handed over what had arrived."""
        self._check_open()
        with anyio.move_on_after(timeout) as scope:
            while self._waiting:
                await anyio.lowlevel.checkpoint()
        if scope.cancelled_caught:
            raise BusUnavailable(f"this in-memory bus was not quiet within {timeout} s")

    async def subscribe(self, subject: str, receiver: Receiver, *, queue: str = "") -> _Interest:
        """Call `receiver` for each message on `subject`."""
        self._check_open()
        interest = _Interest(self, subject, receiver, queue)
        self.broker.add(interest)
        await anyio.lowlevel.checkpoint()
        return interest

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each :meth:`reconnect`."""
        self._gaps.append(callback)

    def disconnect(self) -> None:
        """Fault: lose the connection; what is published raises, what would arrive is lost."""
        self.cut = True

    def reconnect(self) -> None:
        """End a :meth:`disconnect`."""
        self.cut = False
        self._reconnects += 1
        for callback in self._gaps:
            callback()

    def close(self, why: str) -> None:
        """End this bus for good."""
        if not self._closed.is_set():
            self._why = why
            self._closed.set()
            for interest in [known for known in self.broker.interests if known.owner is self]:
                self.broker.drop(interest)

    async def wait_closed(self) -> str:
        """Wait until this bus has ended; return why."""
        await self._closed.wait()
        return self._why

    def statistics(self) -> BusStatistics:
        """Return counts."""
        return BusStatistics(
            sent=self._sent,
            received=self._received,
            reconnects=self._reconnects,
            refused=self._refused,
            pending_bytes=0,
        )
