"""Money, in words for a terminal."""

from typing import TYPE_CHECKING, Final

from callboard.actors.llm import in_dollars

from ..office.naming import in_words

if TYPE_CHECKING:
    from callboard.store.office import CostRow, PromptRow, Standing

    from ..office.messages import Costs

_HEAD: Final = (
    f"{'':<20} {'calls':>7} {'cached':>7} {'tokens in':>10} {'out':>8} {'cost':>11} {'saved':>11} {'failed':>6}"
)


def lines_of(found: "Costs", *, as_model: str = "") -> list[str]:
    """Return all of it."""
    lines = [_HEAD, *map(_row, found.rows)] if found.rows else ["no model was asked"]
    if found.as_cost is not None:
        lines += [f"with {as_model} the same tokens would cost {in_dollars(found.as_cost)}"]
    lines += ["", "budgets", *map(_budget, found.budgets)] if found.budgets else []
    lines += ["", "longest prompts", *map(_prompt, found.longest)] if any(row.calls for row in found.longest) else []
    lines += [f"nobody knows the price of {name}: it counts as the dearest there is" for name in found.unpriced]
    return lines


def _row(row: "CostRow") -> str:
    return (
        f"{row.name or 'all':<20.20} {row.calls:>7} {row.hits:>7} {row.input:>10} {row.output:>8} "
        f"{in_dollars(row.cost):>11} {in_dollars(row.saved):>11} {row.failures:>6}"
    ) + (f"  {in_dollars(row.cost // row.good)} for each of {row.good} good ones" if row.good else "")


def _budget(row: "Standing") -> str:
    used = (row.spent + row.reserved) / row.limit if row.limit else 1.0
    bar = "#" * round(20 * min(used, 1.0))
    told = f"{in_dollars(row.spent)} spent, {in_dollars(row.reserved)} held"
    return f"  [{bar:<20}] {used:>4.0%} of {in_dollars(row.limit)}  {in_words(row.name)}: {told}"


def _prompt(row: "PromptRow") -> str:
    saving = row.input_cost // 10
    told = f"; a tenth shorter would have saved {in_dollars(saving)}" if saving else ""
    return (
        f"  {row.prompt} ({row.version[:12]}): {row.average:.0f} tokens, at most {row.largest}, in {row.calls} calls; "
        f"{row.cached:.0%} read from the endpoint's cache; {in_dollars(row.input_cost)}{told}"
    )
