"""The clients of a cell: one for each endpoint, made at its first use with the key that lies there then."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.clock import Clock
from callboard.names import LOCAL_MODEL

from ..cell_voice import CellVoice
from ..config import LOCAL
from ..errors import ModelDown, OfficeAway
from ..key import read_key
from ..tables import EndpointTable

if TYPE_CHECKING:
    from ...models.serving import ModelAt
    from ..door.client import ModelClient

LOCAL_WITHIN: Final = 5.0
"""Seconds in which the model in the box says where it is; then another may be asked."""


class Clients:
    """Of one cell. `home` is the folder that relative key files are seen from."""

    def __init__(self, voice: CellVoice, *, clock: Clock, home: Path) -> None:
        self._voice, self._clock, self._home = voice, clock, home
        self._clients: dict[str, ModelClient] = {}
        self._left: list[ModelClient] = []
        """Of former lives of the model in the box: closed when their last call has ended."""
        self._opening: dict[str, anyio.Lock] = {}
        self._failed: tuple[float, ModelDown] | None = None
        """When the model in the box said the last time not where it is, and why."""

    async def of(self, table: EndpointTable, *, until: float) -> "ModelClient":
        """Return the client of an endpoint. Raises BadModelKey, ModelDown."""
        if (client := self._clients.get(table.name)) is not None:
            return client
        began = self._clock.monotonic()
        async with self._opening.setdefault(table.name, anyio.Lock()):
            if table.name not in self._clients:
                self._clients[table.name] = await self._open(table, until, began)
            return self._clients[table.name]

    async def _open(self, table: EndpointTable, until: float, began: float) -> "ModelClient":
        from ..door.client import ModelClient

        if table.name != LOCAL:
            return ModelClient(table, key=read_key(file=table.key_file, variable=table.key_env, home=self._home))
        if self._failed is not None and self._failed[0] > began:  # who was before us has found out
            raise ModelDown(self._failed[1].text, endpoint=LOCAL, cost="nothing")
        at = await self._where(until)
        return ModelClient(msgspec.structs.replace(table, url=at.url), key=at.key)

    async def _where(self, until: float) -> "ModelAt":
        from ...models.serving import ModelAt, WhereModel

        try:
            patient = self._clock.monotonic() + LOCAL_WITHIN
            soon = min(until, patient)
            return await self._voice.ask(WhereModel(), ModelAt, until=soon, whom=LOCAL_MODEL)
        except OfficeAway as error:
            down = ModelDown(f"the model in the box does not run: {error.text}", endpoint=LOCAL, cost="nothing")
            if soon == patient:  # who was in a hurry has found out nothing
                self._failed = (self._clock.monotonic(), down)
            raise down from error

    async def leave(self, name: str) -> None:
        """Forget the client of the model in the box: each of its lives has another address. Others stay."""
        if name == LOCAL and (client := self._clients.pop(name, None)) is not None:
            self._left.append(client)
        over = [client for client in self._left if not client.in_use]
        self._left = [client for client in self._left if client.in_use]
        for client in over:
            await client.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        for client in [*self._clients.values(), *self._left]:
            await client.aclose()
        self._clients.clear()
        self._left.clear()
