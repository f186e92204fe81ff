"""What was spent, on what, and what came of it.

A ledger may have a million rows, and leases wait while one is read. So a question is asked of a stretch of time after
the other, each of a bounded number of rows, and the sums are put together here.
"""

import math
import sqlite3
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Literal

import msgspec

from ..database import Database

PORTION: Final = 10_000
"""Rows that are read at once: about ten milliseconds."""

By = Literal["actor", "model", "day", "prompt", ""]
_MODEL: Final = "CASE WHEN served != '' THEN served ELSE asked END"
_NAMES: Final[dict[By, str]] = {
    "actor": "actor", "model": "asked", "day": "strftime('%Y-%m-%d', at, 'unixepoch')", "prompt": "prompt", "": "''",
}  # fmt: skip
_COSTS: Final = (
    "sum(how != 'lost')", "sum(cache = 'hit')", "sum(input)", "sum(output)", "sum(cached)", "sum(reasoning)",
    "sum(cost)", "sum(saved)", "sum(seconds)", "sum(how IN ('wrong', 'cut', 'failed'))", "sum(good IS 1)",
    "sum(good IS 0)",
)  # fmt: skip
_CALLED: Final = "how != 'lost' AND cache = ''"
_READ: Final = f"{_CALLED} AND input > 0"


class CostRow(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that have something in common. Money is in nano-dollars."""

    name: str
    """The actor, the model, the day in UTC, the prompt; empty for all."""
    calls: int = 0
    """With those that the cache answered."""
    hits: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cost: int = 0
    """With what was lost with leases."""
    saved: int = 0
    """What the calls did cost whose answers were given again."""
    seconds: float = 0.0
    failures: int = 0
    """Wrong, cut or failed; not those that were cancelled."""
    good: int = 0
    bad: int = 0


class PromptRow(msgspec.Struct, frozen=True, kw_only=True):
    """How long a prompt is."""

    prompt: str
    version: str
    calls: int
    average: float
    """Input tokens."""
    largest: int
    cached: float
    """The share of the input that the endpoint had cached, 0 to 1."""
    input_cost: int
    """Nano-dollars, as far as the entries say it."""


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was given and gave."""

    endpoint: str
    model: str
    input: int
    output: int
    cached: int
    """Of the input."""


async def costs(db: Database, by: By, since: float, until: float) -> list[CostRow]:
    """Return what was spent in a stretch of time, the dearest first."""
    totals = await _totals(db, _NAMES[by], _COSTS, since, until)
    fields = CostRow.__struct_fields__
    rows = [CostRow(**dict(zip(fields, (*name, *sums), strict=True))) for name, sums in totals.items()]
    return sorted(rows, key=lambda row: (row.name if by == "day" else "", -row.cost, row.name))


async def longest(db: Database, limit: int, since: float) -> list[PromptRow]:
    """Return the prompts with the largest average input."""
    sums = ("count(*)", "sum(input)", "max(input)", "sum(cached)", "sum(input_cost)")
    totals = await _totals(db, "prompt, version", sums, since, math.inf, where=_READ)
    rows = [_prompt_row(name, sums) for name, sums in totals.items()]
    return sorted(rows, key=lambda row: (-row.average, row.prompt, row.version))[:limit]


def _prompt_row(name: tuple[str, ...], sums: list[Any]) -> PromptRow:
    calls, tokens, largest, cached, cost = sums
    return PromptRow(
        prompt=name[0], version=name[1], calls=calls, average=tokens / calls, largest=largest,
        cached=cached / tokens if tokens else 0.0, input_cost=cost,
    )  # fmt: skip


async def tokens(db: Database, since: float) -> list[TokenRow]:
    """Return what each model was given and gave."""
    sums = ("sum(input)", "sum(output)", "sum(cached)")
    totals = await _totals(db, f"endpoint, {_MODEL}", sums, since, math.inf, where=_CALLED)
    fields = TokenRow.__struct_fields__
    rows = [TokenRow(**dict(zip(fields, (*name, *sums), strict=True))) for name, sums in totals.items()]
    return sorted(rows, key=lambda row: (row.endpoint, row.model))


async def _totals(
    db: Database, names: str, sums: tuple[str, ...], since: float, until: float, *, where: str = "TRUE"
) -> dict[tuple[str, ...], list[Any]]:
    """Return the sums, and the maxima, for each combination of names."""
    sql = f"SELECT {names}, {', '.join(sums)} FROM ledger WHERE at >= ? AND at < ? AND {where} GROUP BY {names}"  # noqa: S608 - ours
    totals = dict[tuple[str, ...], list[Any]]()
    async for begin, end in _stretches(db, since, until):
        for row in await db.read(_asked(sql, begin, end)):
            name, found = row[: -len(sums)], row[-len(sums) :]
            there = totals.setdefault(name, [0] * len(sums))
            for at, (what, value) in enumerate(zip(sums, found, strict=True)):
                there[at] = max(there[at], value) if what.startswith("max") else there[at] + value
    return totals


def _asked(sql: str, *values: float) -> Callable[[sqlite3.Connection], list[tuple[Any, ...]]]:
    return lambda conn: conn.execute(sql, values).fetchall()


async def _stretches(db: Database, since: float, until: float) -> AsyncGenerator[tuple[float, float], None]:
    """Yield stretches of time, one after the other, each with about PORTION rows; empty ones are left out."""
    sql = "SELECT at FROM ledger INDEXED BY ledger_by_time WHERE at >= ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?"
    while since < until:
        [*first] = await db.read(_asked(sql, since, until, 0))
        if not first:
            return
        [*last] = await db.read(_asked(sql, since, until, PORTION))
        end = math.nextafter(last[0][0], math.inf) if last else until
        yield since, end
        since = end
