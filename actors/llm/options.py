"""How one call is to be made, where the fleet's own settings are not right for it."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from .errors import BadModelRequest
from .request import OURS
from .tools import Tool

MOST: Final = 1_024
ROUNDS_MOST: Final = 32


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What :meth:`~.llm.Llm.using` may change."""

    model: str = ""
    """By its name in the fleet file; empty: the default."""
    most: int = MOST
    """Tokens of the answer, at most; its worst cost is reserved."""
    temperature: float = 0.0
    seed: int | None = None
    timeout: float = 0.0
    """Seconds for all of it; 0.0: as the fleet file says."""
    idle: float = 0.0
    """Seconds that a stream may give nothing; 0.0: as the fleet file says."""
    sensitive: bool = False
    """Whether only an endpoint that may see such is asked; of a private actor everything is."""
    urgent: bool = False
    """Whether it may go on where a budget has others wait."""
    cache: bool = True
    """Whether an answer that was given before is good enough. Only at temperature 0."""
    tenant: str = ""
    """For whom: answers of one are not given to another."""
    step: str = ""
    """In a task: the name under which the answer is kept as a step."""
    check: Callable[[Any], object] | None = None
    """Raises ValueError for an answer that fits its type, and is wrong all the same."""
    tools: Sequence[Tool] = ()
    rounds: int = 5
    """How often a model may have tools run before it must have answered."""
    send: dict[str, Any] = {}
    """Other parameters for the endpoint."""


def changed(options: Options, changes: dict[str, Any]) -> Options:
    """Return options with changes, checked. Raises BadModelRequest, naming what is legal."""
    if unknown := set(changes) - set(Options.__struct_fields__):
        legal = ", ".join(Options.__struct_fields__)
        raise BadModelRequest(f"no option is called {sorted(unknown)[0]!r}: {legal}")
    made = msgspec.structs.replace(options, **changes)
    for wrong, legal in (
        (bool(OURS & made.send.keys()), f"send: nothing of {', '.join(sorted(OURS))}"),
        (not 1 <= made.most <= 1_000_000, "most: 1 to 1,000,000 tokens"),
        (not 0.0 <= made.temperature <= 2.0, "temperature: 0 to 2"),
        (not 0.0 <= made.timeout <= 86_400.0, "timeout: seconds, up to a day"),
        (not 1 <= made.rounds <= ROUNDS_MOST, f"rounds: 1 to {ROUNDS_MOST}"),
        (not 0.0 <= made.idle <= 86_400.0, "idle: seconds, up to a day"),
        (len(made.tenant) > 200 or not made.tenant.isprintable(), "tenant: up to 200 characters that can be printed"),
        (len({tool.name for tool in made.tools}) != len(made.tools), "tools: each has a name of its own"),
    ):
        if wrong:
            raise BadModelRequest(f"an option is not legal; {legal}")
    return made
