"""One question to the supervisor, or one order."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from .exits import run

if TYPE_CHECKING:
    from callboard.actors import Message

R = TypeVar("R", bound="Message")
LOOK_WITHIN: Final = 40.0
"""Seconds; longer than the daemon has patience with a cell (30), so that it can say which one did not answer."""


def asked(message: "Message", reply: type[R], fleet: str, state: Path | None, *, timeout: float = LOOK_WITHIN) -> R:
    """Return the `reply` of the supervisor; an order is signed, if there is a key. A typed error ends the command."""

    async def work() -> R:
        from ..client import Client
        from ..persons import Command
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            said = client.signed(message) if isinstance(message, Command) else message
            return await client.ask(Supervisor, said, timeout=timeout, reply=reply)

    return run(work)
