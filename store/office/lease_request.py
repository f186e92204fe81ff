"""What a cell asks of the budgets."""

import msgspec

from ..errors import InvalidLimit
from .money import check_amount


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time of a budget. Amounts are nano-dollars; a line of 0 is off."""

    name: str
    """Such as ``fleet/day``, ``actor/editor/hour``, ``tree/<id>``."""
    start: float
    """Unix seconds; with the name it says which window this is."""
    end: float
    """Unix seconds; infinite for a tree."""
    limit: int
    warn: int = 0
    step_down: int = 0
    queue: int = 0


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A cell would like to spend. Without windows nothing limits it."""

    cell: str
    epoch: int
    actor: str
    least: int
    """Below this it is of no use."""
    want: int
    windows: tuple[Window, ...] = ()
    """All that the money is to be reserved in."""
    back: tuple[tuple[int, int], ...] = ()
    """Leases of this cell, and how much of each it will have used in all: the rest is given back with this."""
    id: str = ""
    """Asked again under the same id, because the answer was lost, it is one lease."""
    urgent: bool = False
    """Whether it may go past the line from which others wait."""


def checked(request: LeaseRequest) -> LeaseRequest:
    """Return the request if it makes sense; raise InvalidLimit."""
    check_amount("the least of a lease", request.least)
    check_amount("what is wanted of a lease", request.want)
    for number, most in request.back:
        check_amount(f"what is used of lease {number}", most)
    for window in request.windows:
        _check(window)
    if len({(window.name, window.start) for window in request.windows}) < len(request.windows):
        raise InvalidLimit(f"a lease of {request.actor} names a window twice")
    return request


def _check(window: Window) -> None:
    for amount in (window.limit, window.warn, window.step_down, window.queue):
        check_amount(f"limit and lines of {window.name}", amount)
    if not window.start < window.end:
        raise InvalidLimit(f"{window.name} must end after its start, not from {window.start} to {window.end}")
