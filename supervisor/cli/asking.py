"""One question to the supervisor, or one order."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exits import run

if TYPE_CHECKING:
    from callboard.actors import Message


def asked(handler: str, message: "Message", fleet: str, state: Path | None, *, timeout: float = 30.0) -> Any:
    """Return what the handler of the supervisor answers; an order is signed, if there is a key."""

    async def work() -> Any:
        from ..client import Client
        from ..persons import Command
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            speak: Any = client.command if isinstance(message, Command) else client.ask
            return await speak(getattr(Supervisor, handler), message, timeout=timeout)

    return run(work)
