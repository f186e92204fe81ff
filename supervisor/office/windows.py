"""Which budgets a call falls under, and which window of each is the one of now. Pure."""

import calendar
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from callboard.actors.llm import NANO, BudgetTable
from callboard.store.office import Window

from .naming import key_of

Per = Literal["hour", "day", "month"]
_LONGEST: Final = 253_402_300_799.0
"""Unix seconds of the year 9999: a clock may say anything."""


def windows_of(budgets: Sequence[BudgetTable], *, actor: str, tree: str, now: float) -> tuple[Window, ...]:
    """Return the windows that a call of `actor`, in the tree of messages `tree`, must have room in."""
    return tuple(_windows(budgets, actor, tree, now))


def standing_windows(budgets: Sequence[BudgetTable], *, now: float) -> tuple[Window, ...]:
    """Return the windows of now that are there whoever asks: not those of trees, nor of each actor."""
    named = [table for table in budgets if table.scope == "fleet" or table.actor]
    return tuple(_window(table, key_of(table, actor=table.actor, tree=""), now) for table in named)


def _windows(budgets: Sequence[BudgetTable], actor: str, tree: str, now: float) -> Iterator[Window]:
    named = {(table.actor, table.per) for table in budgets}
    """Of whom a budget speaks by name: what is for each is not for them."""
    for table in budgets:
        mine = table.scope == "actor" and table.actor == (actor if (actor, table.per) in named else "")
        if table.scope == "fleet" or mine or (table.scope == "tree" and tree):
            yield _window(table, key_of(table, actor=actor, tree=tree), now)


def call_limit(budgets: Sequence[BudgetTable]) -> int | None:
    """Return what one call may cost, in nano-dollars; None: whatever the other budgets have."""
    return min((nano(table.dollars) for table in budgets if table.scope == "call"), default=None)


def _window(table: BudgetTable, name: str, now: float) -> Window:
    start, end = (0.0, math.inf) if table.per is None else bounds_of(table.per, now)
    limit = nano(table.dollars)
    return Window(
        name=name, start=start, end=end, limit=limit, warn=int(limit * table.warn),
        step_down=int(limit * table.step_down), queue=int(limit * table.queue),
    )  # fmt: skip


def nano(dollars: float) -> int:
    """Return an amount of dollars as whole nano-dollars."""
    return round(dollars * NANO)


def bounds_of(per: Per, now: float) -> tuple[float, float]:
    """Return the beginning and the end of the hour, day or month that `now` is in, in UTC, as Unix seconds."""
    moment = datetime.fromtimestamp(max(0.0, min(now, _LONGEST)), UTC)
    if per == "month":
        start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        length = timedelta(days=calendar.monthrange(start.year, start.month)[1])
    elif per == "day":
        start, length = moment.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=1)
    else:
        start, length = moment.replace(minute=0, second=0, microsecond=0), timedelta(hours=1)
    begin = start.timestamp()
    return begin, begin + length.total_seconds()
