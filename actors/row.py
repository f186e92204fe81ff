"""How it stands with one actor, for people."""

from typing import Literal

import msgspec

State = Literal[
    "starting", "running", "waiting", "stalled", "restarting", "held", "draining", "stopped", "silent", "bloated"
]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with one actor, as shown by ``callboard ps``."""

    actor: str
    state: State
    depth: int
    in_hand: list[str]
    in_hand_for: float
    doing: str = ""
    """What the oldest of them says that it does, or waits on."""
    handled: int
    failed: int
    refused: int
    restarts: int
