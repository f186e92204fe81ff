"""How much an actor knows, in numbers."""

import msgspec


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """How much an actor knows."""

    episodes: int
    worked: int
    failed: int
    untrusted: int
    returned: int
    used: int
    helped: int
    harmed: int
    outcomes: int
    bytes: int
    embedder: str
    """Whose vectors are stored; empty while there are none."""
    waiting: int
    """Episodes without a vector."""
    indexed: int = 0
    trouble: str = ""
    """Why they wait."""
