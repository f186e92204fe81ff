"""``python -m chaos.owner <folder> <on|off>``: a daemon to be killed, with its guardian or without."""

import os
import sys
from pathlib import Path

import anyio

from callboard.guardian import Guardian

from .harm import children
from .run import CELLS, Run, fleet_of


def _watch_nobody(*_ward: object, **_named: object) -> None:
    """Do nothing: the mechanism is switched off."""


async def _own(folder: Path) -> None:
    async with fleet_of(folder) as (fleet, _log):
        run = Run(fleet, seed=0, say=print)
        for actor in CELLS:
            await run.ask(actor)
        print(*children(os.getpid()), flush=True)  # noqa: T201 - for who started it
        await anyio.sleep_forever()


if __name__ == "__main__":
    if sys.argv[2] == "off":
        Guardian.add = _watch_nobody  # type: ignore[method-assign]  # the point
    anyio.run(_own, Path(sys.argv[1]))
