"""What calls did, for the ledger."""

from callboard.store.office import Cached, Entry

from ..message import Message


class Report(Message):
    """What calls did cost, what was answered, and which leases are not needed any more. Said again it counts once."""

    epoch: int
    entries: tuple[Entry, ...] = ()
    answers: tuple[Cached, ...] = ()
    back: tuple[int, ...] = ()


class Reported(Message):
    """It is taken note of; what a report has is in the file."""

    life: int = 0
    """Of the office."""
