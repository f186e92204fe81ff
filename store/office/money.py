"""Amounts: whole nano-dollars."""

from typing import Final

from ..errors import InvalidLimit

MOST: Final = 10**18
"""A thousand million dollars; sums of a few such still fit into what SQLite counts with."""


def check_amount(what: str, amount: int) -> None:
    """Raise InvalidLimit unless `amount` is a whole number from 0 to MOST."""
    if type(amount) is not int or not 0 <= amount <= MOST:
        raise InvalidLimit(f"{what} must be whole, 0 to {MOST}, not {amount!r}")
