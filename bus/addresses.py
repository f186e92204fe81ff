"""Where one cell speaks to actors: each has an address, and some are spoken to at another subject than that.

All that waits, is remembered or comes back is kept by address, so that order holds while an actor moves; only what
leaves for the server looks at the subject.
"""

from typing import Final

from callboard.names import checked

from . import subjects

MOST: Final = 16 * 1024
"""Addresses kept; who speaks to more makes them anew, which costs as much as to say something."""


class Addresses:
    """For one endpoint."""

    def __init__(self, fleet: str, cell: str) -> None:
        self._fleet, self._cell = fleet, cell
        self._known: dict[str, str] = {}
        self._moved: dict[str, str] = {}

    def of(self, actor: str) -> str:
        """Return the address of an actor's mailbox as this cell speaks to it; raises InvalidName."""
        found = self._known.get(actor)
        if found is None:
            if len(self._known) >= MOST:
                self._known.clear()
            found = subjects.mailbox(self._fleet, checked(actor, "actor"), sender=self._cell)  # '*' is to listen only
            self._known[actor] = found
        return found

    def subject_of(self, address: str) -> str:
        """Return the subject at which `address` is spoken to."""
        return self._moved.get(address, address)

    def move(self, address: str, subject: str) -> bool:
        """Speak to `address` at `subject` from now on; return whether it was spoken to elsewhere before.

        If `subject` is empty, at the address itself; then there is nothing new to be tried, and False is returned.
        """
        if not subject:
            self._moved.pop(address, None)
            return False
        if len(self._moved) >= MOST:
            self._moved.clear()  # each is found again at the next word
        before, self._moved[address] = self._moved.get(address), subject
        return subject != before

    def forget(self, actor: str) -> None:
        """Speak to an actor at its own address, if ever again."""
        self._known.pop(actor, None)
        self._moved.pop(subjects.mailbox(self._fleet, actor, sender=self._cell), None)

    def forget_moves(self) -> None:
        """Speak to all at their own addresses: who moved meanwhile was not heard of."""
        self._moved.clear()
