"""A guest of a chaos run: a NATS client without our library, that asks at the front door."""

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import nats
from nats import errors as nats_errors

from callboard.supervisor.state import Whereabouts


class Guest:
    """Asks, and waits for the answer as long as its own connection lasts. Use as an async context manager."""

    def __init__(self, state: Path, *, fleet: str, within: float) -> None:
        self._at = msgspec.json.decode((state / fleet / "daemon.json").read_bytes(), type=Whereabouts)
        self._credentials = str(state / fleet / "guest.creds")
        self._fleet, self._within = fleet, within
        self._numbers = itertools.count()
        self._asks: set[anyio.CancelScope] = set()
        self._client: Any

    async def __aenter__(self) -> "Guest":
        self._client = await nats.connect(
            self._at.url, user_credentials=self._credentials, disconnected_cb=self._cut,
            max_reconnect_attempts=-1, reconnect_time_wait=0.2, ping_interval=2, max_outstanding_pings=2,
            error_cb=_quiet,
        )  # fmt: skip
        return self

    async def __aexit__(self, *exc: object) -> None:
        with suppress(nats_errors.Error):
            await self._client.close()

    async def _cut(self) -> None:
        for scope in self._asks:
            scope.cancel()

    async def ask(self, actor: str, job: dict[str, Any]) -> str:
        """Return ``answered``, the code of the error that came, ``nobody``, ``cut`` or ``deadline``."""
        if not self._client.is_connected:
            await anyio.sleep(0.1)
            return "cut"
        scope = anyio.CancelScope()
        self._asks.add(scope)
        try:
            with scope:
                body = msgspec.json.encode({"type": "Job", **job})
                reply = await self._client.request(f"cb.{self._fleet}.to.{actor}", body, timeout=self._within)
                said = msgspec.json.decode(reply.data)
                return "answered" if said["type"] == "Done" else str(said["code"])
        except nats_errors.NoRespondersError:
            return "nobody"
        except (TimeoutError, nats_errors.TimeoutError):
            return "deadline"
        except nats_errors.Error:
            return "cut"
        finally:
            self._asks.discard(scope)
        return "cut"


async def _quiet(_error: Exception) -> None:
    """Say nothing: the server is harmed on purpose."""
