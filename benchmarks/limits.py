"""Figures that stand next to a promised limit instead of a peer."""

from statistics import median
from typing import NamedTuple

from .names import LIMIT
from .report import Row


class Limit(NamedTuple):
    """What is measured, in what, and what is promised at most."""

    work: str
    unit: str
    most: float


class Measured(NamedTuple):
    """What the rounds gave."""

    values: list[float]


def rows_of(limit: Limit, measured: Measured) -> list[Row]:
    """Return the median and the worst of the rounds next to the limit; of one value only one row."""
    values = measured.values
    if len(values) == 1:
        return [_row(limit, limit.unit, values[0], values)]
    worst = _row(limit, f"{limit.unit}, worst of {len(values)}", max(values), values)
    return [_row(limit, f"{limit.unit}, median", median(values), values), worst]


def _row(limit: Limit, unit: str, ours: float, values: list[float]) -> Row:
    middle = median(values) or 1.0
    return Row(
        work=limit.work, unit=unit, ours=round(ours, 2), peer=LIMIT, theirs=limit.most,
        ratio=round(ours / limit.most, 3), better="lower", reach=1.0,
        spread=round((max(values) - min(values)) / middle, 3), rounds=len(values),
    )  # fmt: skip
