"""Speaking to a running fleet from any Python program."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from callboard.actors import Speaker
from callboard.bus import Endpoint, connect
from callboard.clock import SystemClock
from callboard.ids import new_id

from .access import Access
from .state import find_daemon


class Client(Speaker):
    """``tell``, ``ask`` and ``publish`` with the owner's rights. Made by :meth:`connect`."""

    @property
    def fleet(self) -> str:
        """The name of the fleet."""
        return self._endpoint.fleet

    async def flush(self) -> None:
        """Wait until the server has seen everything sent so far."""
        await self._endpoint.flush()

    @classmethod
    @asynccontextmanager
    async def connect(cls, fleet: str = "", *, state: Path | None = None) -> "AsyncIterator[Client]":
        """Connect to the daemon that runs here for the time of the block.

        Args:
            fleet: the fleet's name; needed only where several run.
            state: the folder of the fleets' state; default: CALLBOARD_STATE, else ``.callboard`` here or above.

        Raises:
            NoSuchDaemon: none runs.
            BusUnavailable: it does not answer.

        """
        at = find_daemon(fleet=fleet, state=state)
        async with open_client(at, at.fleet) as client:
            yield client


@asynccontextmanager
async def open_client(access: Access, fleet: str) -> AsyncIterator[Client]:
    """Connect to a fleet's bus directly."""
    cell = f"client-{new_id()[-12:]}"
    async with (
        connect(access.options()) as bus,
        Endpoint(bus, fleet=fleet, cell=cell, clock=SystemClock()) as endpoint,
    ):
        yield Client(endpoint)
