"""Keep the fleet's purse: budgets, the ledger of all calls, and answers that were given before, in ``office.db``.

A room within the store, imported by the cell that has the office alone. Plain values in, plain values out.

It promises, also of a process that is killed at any moment: in each window of a budget what is spent and what is
leased are never above the limit, but for what a call did cost beyond its lease and what a lowered limit found above
it, and both are said; an entry told again counts once; what a dead cell had leased and not settled counts as spent.
"""

from .burying import Lost
from .cache import Cached
from .costs import By, CostRow, PromptRow, TokenRow
from .entry import Entry, How
from .file import OfficeFile
from .forgetting import Forgot
from .granting import BudgetLine, Crossed, Refused
from .lease_request import LeaseRequest, Window
from .leasing import Leased
from .ledger import Ledger, open_ledger
from .schema import OFFICE, path_of_office
from .settling import Over, Settled
from .sweeping import Swept
from .window_table import Standing

open_office = OfficeFile.open
"""Own the office's file for the length of an ``async with``; see :meth:`OfficeFile.open`."""

__all__ = [
    "OFFICE",
    "BudgetLine",
    "By",
    "Cached",
    "CostRow",
    "Crossed",
    "Entry",
    "Forgot",
    "How",
    "LeaseRequest",
    "Leased",
    "Ledger",
    "Lost",
    "OfficeFile",
    "Over",
    "PromptRow",
    "Refused",
    "Settled",
    "Standing",
    "Swept",
    "TokenRow",
    "Window",
    "open_ledger",
    "open_office",
    "path_of_office",
]  # fmt: skip
