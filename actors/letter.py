"""A letter: an envelope in a mailbox, with what its door said of it."""

import msgspec

from callboard.bus import Envelope


class Letter(msgspec.Struct, gc=False):
    """An envelope in a mailbox, with what its door said of it."""

    envelope: Envelope
    cell: str
    """The sending cell; empty for the front door."""
    trust: int
    size: int
    """Bytes it takes in the mailbox and of its sender's credit."""
    topic: str = ""
    bare: str = ""
    """``json`` or ``msgpack`` for a bare message; its reply is bare too."""
    slot: int = 0
    """Where the flight record of this process has it; means nothing to another."""
    until: float = 0.0
    """When nobody waits for it any more; 0.0: nobody said. Monotonic seconds of this machine: the wall clock jumps."""
