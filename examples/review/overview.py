"""What a model says of a review: one sentence, how risky the code is, and what to mend first.

The totals and the kinds of findings are given to it, never the reviewed code itself. It may only name kinds that are
there, so the answer's type is made for each review.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from callboard import BadAnswer, BadModelRequest, Context, NoModels, WrongAnswer, read_prompt

from .report import Overview, Report, Risk

PROMPT: Final = read_prompt(Path(__file__).with_name("overview.prompt"))
WITHIN: Final = 300.0
"""Seconds: an endpoint that is away for a while is waited for."""
KINDS_MOST: Final = 12


async def overview_of(report: Report, ctx: Context) -> tuple[Overview | None, tuple[str, ...]]:
    """Return what a model says of a report, and a note if one was asked in vain; in a task it is a step."""
    kinds = Counter(f"{finding.tool}/{finding.rule}" for finding in report.findings)
    if not kinds:
        return None, ()
    most = dict(kinds.most_common(KINDS_MOST))
    listed = "\n".join(f"{kind}: {count} times" for kind, count in most.items())
    llm = ctx.llm.using(step="overview", most=300, timeout=WITHIN)
    try:
        said = await llm.ask(_form(most), PROMPT, kinds=listed, totals=_totals(report))
    except NoModels:
        return None, ()
    except (WrongAnswer, BadAnswer, BadModelRequest) as error:
        return None, (f"no overview: {error.code}",)
    return msgspec.convert(said, Overview, from_attributes=True), ()


def _totals(report: Report) -> str:
    summary = report.summary
    return ", ".join(f"{getattr(summary, name)} {name}" for name in ("high", "medium", "low", "info"))


def _form(kinds: dict[str, int]) -> Any:
    """Return the type of the answer: an overview whose `first` is one of these kinds."""
    first = Literal[tuple(kinds)]  # type: ignore[valid-type]  # made at run time, as the kinds are
    headline = Annotated[str, msgspec.Meta(min_length=10, max_length=200)]
    return msgspec.defstruct(
        "Overview", [("headline", headline), ("risk", Risk), ("first", first)], frozen=True, forbid_unknown_fields=True
    )
