"""Waiting for a condition of the real world, with a deadline."""

from collections.abc import Callable

import anyio


async def wait_until(holds: Callable[[], bool], *, within: float = 10.0) -> None:
    """Wait until `holds` returns True; raise TimeoutError after `within` seconds."""
    with anyio.fail_after(within):
        while not holds():  # noqa: ASYNC110 - a condition of another process, which tells nobody that it changed
            await anyio.sleep(0.005)
