"""A letter: an envelope in a mailbox, with what its door said of it."""

import msgspec

from callboard.bus import Delivery, Envelope


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
    receipt: str = ""
    """Of a task: by which it is settled with its queue; empty for all else."""
    tries: int = 0
    """Of a task: which try of it this is."""
    delivery: Delivery | None = None
    """Of a task: as it came. Not written down in the flight record."""
