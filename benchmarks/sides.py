"""All sides of a place, opened together on one server, each receiver where the place says."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any

from callboard.guardian import Guardian

from .durable import open_durable
from .names import FASTSTREAM, JOINED, NATS, OURS
from .nats_side import JoinedNatsSide, NatsSide, open_client, open_nats_in_one_process
from .ours import open_ours
from .programs import open_program, programs_here
from .receiving import receiver
from .side import Side
from .works import Where


def has_faststream() -> bool:
    """Return whether the FastStream side can be measured here."""
    return all(find_spec(package) is not None for package in ("faststream", "fast_depends"))


@asynccontextmanager
async def open_sides(where: Where, url: str, *, guardian: Guardian) -> AsyncIterator[dict[str, Any]]:
    """Open every side that can be measured at `where`."""
    sides: dict[str, Any]
    async with AsyncExitStack() as stack:
        if where == "as durable work":
            yield await stack.enter_async_context(open_durable(url, guardian=guardian))
            return
        if where == "in one process":
            sides = {OURS: await stack.enter_async_context(open_ours(url, isolation="task"))}
            sides[NATS] = await stack.enter_async_context(open_nats_in_one_process(url))
            for peer, command in programs_here().items():
                sides[peer] = await stack.enter_async_context(open_program(command, guardian=guardian))
            yield sides
            return
        sides = {OURS: await stack.enter_async_context(open_ours(url, isolation="process"))}
        await stack.enter_async_context(receiver("benchmarks.peer_nats", url, guardian=guardian))
        client = await stack.enter_async_context(open_client(url))
        sides |= {NATS: NatsSide(client), JOINED: JoinedNatsSide(client)}
        if has_faststream():
            sides[FASTSTREAM] = await _open_faststream(stack, url, guardian)
        yield sides


async def _open_faststream(stack: AsyncExitStack, url: str, guardian: Guardian) -> Side:
    from .faststream_side import open_faststream  # only in .venv-bench

    await stack.enter_async_context(receiver("benchmarks.peer_faststream", url, guardian=guardian))
    return await stack.enter_async_context(open_faststream(url))
