"""Money, in words for a terminal."""

from typing import TYPE_CHECKING, Final

from callboard.actors.llm import in_dollars

from ..office.naming import in_words

if TYPE_CHECKING:
    from callboard.store.office import CostRow, PromptRow, Standing

    from ..office.messages import Costs

_HEAD: Final = (
    f"{'':<20} {'requests':>8} {'again':>7} {'tokens in':>10} {'out':>8} {'cost':>11} {'saved':>11} {'failed':>6}"
)
"""``again``: answers that were given before, and cost nothing."""
_WIDTH: Final = 20


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
        f"{row.name or 'all':<20.20} {row.calls:>8} {row.hits:>7} {row.input:>10} {row.output:>8} "
        f"{in_dollars(row.cost):>11} {in_dollars(row.saved):>11} {row.failures:>6}"
    ) + (f"  {in_dollars(row.cost // row.good)} for each of {row.good} good ones" if row.good else "")


def _budget(row: "Standing") -> str:
    used = row.spent / row.limit if row.limit else 1.0
    aside = row.reserved / row.limit if row.limit else 0.0
    spent = round(_WIDTH * min(used, 1.0))
    bar = "#" * spent + "-" * min(round(_WIDTH * aside), _WIDTH - spent)
    told = f"{in_dollars(row.spent)} spent" + (f", {in_dollars(row.reserved)} set aside" if row.reserved else "")
    over = f", {in_dollars(row.over)} of it beyond what was asked for" if row.over else ""
    return f"  [{bar:<{_WIDTH}}] {used:>4.0%} of {in_dollars(row.limit)}  {in_words(row.name)}: {told}{over}"


def _prompt(row: "PromptRow") -> str:
    saving = row.input_cost // 10
    told = f"; a tenth shorter would have saved {in_dollars(saving)}" if saving else ""
    return (
        f"  {row.prompt} ({row.version[:12]}): {row.average:.0f} tokens, at most {row.largest}, {row.calls} times; "
        f"{row.cached:.0%} read from the endpoint's cache; {in_dollars(row.input_cost)}{told}"
    )
