"""All sides of a place, opened together on one server, each receiver where the place says."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from callboard.guardian import Guardian

from .nats_side import JoinedNatsSide, NatsSide, open_client, open_nats_in_one_process
from .ours import open_ours
from .programs import AUTOGEN_PYTHON, open_program
from .receiving import receiver
from .side import Side
from .works import AUTOGEN, FASTSTREAM, JOINED, NATS, OURS, PYKKA, THESPIAN, XOSCAR, Where


def has_faststream() -> bool:
    """Return whether the FastStream side can be measured here."""
    return all(find_spec(package) is not None for package in ("faststream", "fast_depends"))


def programs_here() -> dict[str, Path]:
    """Return the actor libraries that are installed here, and which Python has them."""
    found = {name: Path(sys.executable) for name in (PYKKA, THESPIAN, XOSCAR) if find_spec(name) is not None}
    return found | ({AUTOGEN: AUTOGEN_PYTHON} if AUTOGEN_PYTHON.exists() else {})


@asynccontextmanager
async def open_sides(where: Where, url: str, *, guardian: Guardian) -> AsyncIterator[dict[str, Side]]:
    """Open every side that can be measured at `where`."""
    sides: dict[str, Side]
    async with AsyncExitStack() as stack:
        if where == "in one process":
            sides = {OURS: await stack.enter_async_context(open_ours(url, isolation="task"))}
            sides[NATS] = await stack.enter_async_context(open_nats_in_one_process(url))
            for peer, python in programs_here().items():
                sides[peer] = await stack.enter_async_context(open_program(peer, guardian=guardian, python=python))
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
