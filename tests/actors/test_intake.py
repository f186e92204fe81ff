"""How tasks come from their queue, and what is only wished of it."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

from callboard.actors import Letter
from callboard.actors.intake import Intake
from callboard.bus import (
    VERSION,
    BusUnavailable,
    Connection,
    Delivery,
    Envelope,
    Kind,
    NatsServer,
    connect,
)

WITHIN: Final = 5.0
RECEIPT: Final = "$JS.ACK.cb_shop_desk.normal.1.1.1.0.0"


class Looks:
    """A receiver that notes how often it was asked whether its task is well."""

    def __init__(self) -> None:
        self.count = 0
        self._looked = anyio.Event()

    def open(self, delivery: Delivery) -> Letter | None:
        return None

    def accept(self, letter: Letter) -> None: ...

    def put(self, letter: Letter) -> bool:
        return True

    def is_well(self, letter: Letter) -> bool:
        self.count += 1
        self._looked.set()
        self._looked = anyio.Event()
        return True

    async def wait_count(self, count: int) -> None:
        with anyio.fail_after(WITHIN):
            while self.count < count:
                await self._looked.wait()


async def fill(bus: Connection) -> None:
    """Publish over a cut connection until it has room for nothing more, once it knows that it is cut."""
    for size in (100_000, 1):
        with suppress(BusUnavailable):
            while True:
                bus.publish("a", bytes(size))
                await anyio.lowlevel.checkpoint()


async def test_who_is_cut_off_from_the_queue_for_long_goes_on_with_what_it_has(tmp_path: Path) -> None:
    """Extending and handing back are wishes: what a cut connection has no more room for is not the end of a cell."""
    looks = Looks()
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        connect(server.options()) as bus,
        anyio.create_task_group() as tasks,
    ):
        intake = Intake(bus.queue, looks, fleet="shop", actor="desk", at_once=1)
        intake.held["t-1"] = Letter(Envelope(VERSION, Kind.TASK, "Job", 0, "t-1", ""), "front", 1, 0, receipt=RECEIPT)
        await server.stop()
        with anyio.fail_after(WITHIN):
            await fill(bus)
        tasks.start_soon(lambda: intake.run(tasks, ack_wait=0.03))
        await looks.wait_count(3)
        intake.again(RECEIPT, 1.0)
        tasks.cancel_scope.cancel()
