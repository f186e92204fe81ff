"""Who enqueues the tasks of a run: with ids of their own, again and again with the same until each is acknowledged."""

import json
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import anyio
import nats
from nats import errors as nats_errors

from callboard import CallboardError, Client, Json, NotStored
from callboard.actors.speaking import Priority
from callboard.bus import BusClosed, BusUnavailable
from callboard.supervisor.errors import NoSuchDaemon
from callboard.supervisor.state import find_daemon

from .durable_daemon import FLEET, Daemon
from .durable_plan import DESKS, Order

AT_ONCE: Final = 16
STORE_WITHIN: Final = 4.0
AGAIN_AFTER: Final = 0.05
"""Seconds before who was not heard repeats it."""
LATER: Final = 300
"""Tasks after which the second copy of one is enqueued."""
EXPECTED: Final = (NotStored, BusUnavailable, BusClosed, NoSuchDaemon)


class Sender:
    """Enqueues `orders`. ``stored`` has those that were acknowledged, ``strange`` whatever must not happen."""

    def __init__(self, daemon: Daemon, orders: Iterable[Order], *, seed: int) -> None:
        self._daemon, self._orders = daemon, deque(orders)
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._copies: deque[Order] = deque()
        self._turns: dict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._client: Client | None = None
        self._renew = anyio.Event()
        self.stored: dict[str, Order] = {}
        self.repeated: Counter[str] = Counter()
        self.doubled = 0
        self.at_door: Counter[str] = Counter()
        self.strange: list[str] = []

    def renew(self) -> None:
        """Look for another daemon: this one was killed."""
        self._renew.set()

    async def run(self, share: Callable[[], float]) -> None:
        """Enqueue all; of each moment `share` says how much of it may be enqueued by then, 0 to 1."""
        total = len(self._orders)
        async with anyio.create_task_group() as holding:
            holding.start_soon(self._hold_client)
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(self._enqueue_some, total, share)
            holding.cancel_scope.cancel()

    async def _hold_client(self) -> None:
        while True:
            self._renew = anyio.Event()
            try:
                async with Client.connect(FLEET, state=self._daemon.state) as client:
                    self._client = client
                    await self._renew.wait()
            except CallboardError as error:
                self._note(error)
                await anyio.sleep(AGAIN_AFTER)
            finally:
                self._client = None

    async def _enqueue_some(self, total: int, share: Callable[[], float]) -> None:
        while self._orders or self._copies:
            if self._orders and len(self._orders) < total * (1.0 - share()):
                await anyio.sleep(AGAIN_AFTER)
            elif len(self._copies) > LATER or not self._orders:
                await self._store(self._copies.popleft())
                self.doubled += 1
            else:
                await self._enqueue(self._orders.popleft())

    async def _enqueue(self, order: Order) -> None:
        if order.key:
            async with self._turns[order.key]:  # in the order of their places, each stored before the next
                await self._store(order)
        else:
            await self._store(order)
        self.stored[order.name] = order
        if order.again:
            self._copies.append(order)

    async def _store(self, order: Order) -> None:
        while True:
            try:
                if self._client is not None:
                    await enqueue(self._client, order)
                    return
            except CallboardError as error:
                self._note(error)
            await anyio.sleep(AGAIN_AFTER)

    def _note(self, error: CallboardError) -> None:
        self.repeated[error.code] += 1
        if not isinstance(error, EXPECTED):
            self.strange.append(f"a task was refused: {error!r}")

    # --- at the front door

    async def knock(self) -> None:
        """Bring what does not fit to the door of a desk, as anybody could; note it if it was stored, unread."""
        try:
            at = find_daemon(fleet=FLEET, state=self._daemon.state)
            shown = str(self._daemon.state / FLEET / "guest.creds")
            guest: Any = await nats.connect(at.url, user_credentials=shown, allow_reconnect=False, error_cb=_quiet)
        except (NoSuchDaemon, nats_errors.Error, OSError, TimeoutError):
            return
        actor = self._random.choice(DESKS)
        try:
            answer = await guest.request(f"cb.{FLEET}.do.{actor}", b'{"type": "Job", "name": 7}', timeout=2.0)
            if json.loads(answer.data)["type"] == "Stored":  # by who stood in for the desk
                self.at_door[actor] += 1
        except (nats_errors.Error, OSError, TimeoutError, KeyError):
            return
        finally:
            await guest.close()


async def enqueue(client: Client, order: Order, **more: Any) -> None:
    """Enqueue a task; raises what ``Client.enqueue`` does."""
    job = {
        "type": "Job", "name": order.name, "steps": order.steps, "then": order.then, "tells": order.tells,
        "fails": order.fails, "place": order.place, **more,
    }  # fmt: skip
    priority: Priority = order.priority  # type: ignore[assignment]  # one of the three
    await client.enqueue(
        order.actor, Json(json.dumps(job).encode(), "Job"), id=order.name, key=order.key, priority=priority,
        delay=order.delay, timeout=STORE_WITHIN,
    )  # fmt: skip


async def _quiet(_error: Exception) -> None:
    """Say nothing: the server is harmed on purpose."""
