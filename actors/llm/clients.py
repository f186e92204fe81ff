"""The clients of a cell: one for each endpoint, made at its first use with the key that lies there then."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.clock import Clock
from callboard.names import LOCAL_MODEL

from .cell_voice import CellVoice
from .config import LOCAL
from .errors import ModelDown, OfficeAway
from .key import read_key
from .tables import EndpointTable

if TYPE_CHECKING:
    from .door.client import ModelClient

LOCAL_WITHIN: Final = 5.0
"""Seconds in which the model in the box says where it is; then another may be asked."""


class Clients:
    """Of one cell. `home` is the folder that relative key files are seen from."""

    def __init__(self, voice: CellVoice, *, clock: Clock, home: Path) -> None:
        self._voice, self._clock, self._home = voice, clock, home
        self._clients: dict[str, ModelClient] = {}
        self._opening = anyio.Lock()

    async def of(self, table: EndpointTable, *, until: float) -> "ModelClient":
        """Return the client of an endpoint. Raises BadModelKey, ModelDown."""
        if (client := self._clients.get(table.name)) is not None:
            return client
        async with self._opening:
            if table.name not in self._clients:
                self._clients[table.name] = await self._open(table, until)
            return self._clients[table.name]

    async def _open(self, table: EndpointTable, until: float) -> "ModelClient":
        from .door.client import ModelClient

        if table.name != LOCAL:
            return ModelClient(table, key=read_key(file=table.key_file, variable=table.key_env, home=self._home))
        from ..models.serving import ModelAt, WhereModel

        try:
            soon = min(until, self._clock.monotonic() + LOCAL_WITHIN)
            at = await self._voice.ask(WhereModel(), ModelAt, until=soon, whom=LOCAL_MODEL)
        except OfficeAway as error:
            raise ModelDown(
                f"the model in the box does not run: {error.text}", endpoint=LOCAL, cost="nothing"
            ) from error
        return ModelClient(msgspec.structs.replace(table, url=at.url), key=at.key)

    async def leave(self, name: str) -> None:
        """Forget the client of the model in the box: each of its lives has another address. Others stay."""
        if name == LOCAL and (client := self._clients.pop(name, None)) is not None:
            await client.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        for client in list(self._clients.values()):
            await client.aclose()
        self._clients.clear()
