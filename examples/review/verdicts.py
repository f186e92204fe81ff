"""What people said of findings before, as the editor remembers it: a kind that was dismissed comes last from then on.

A kind is a rule of a tool in a repository, such as ``shop/ruff/F401``. By this name a person says how useful it was:
``callboard outcome shop/ruff/F401 bad --why "we print in scripts"``.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from callboard import Context, Episode, Recalled

from .finding import Finding, Rank, rank

KINDS_MOST: Final = 100
NAME_MOST: Final = 200


class Verdicts(msgspec.Struct, frozen=True, kw_only=True):
    """Kinds of one repository that people spoke of."""

    accepted: frozenset[str] = frozenset()
    dismissed: dict[str, str] = {}
    """And why."""


def kind_of(finding: Finding, repository: str) -> str:
    """Return the name of a finding's kind."""
    return f"{repository}/{finding.tool}/{finding.rule}"[-NAME_MOST:]


def rank_by(verdicts: Verdicts, finding: Finding, repository: str) -> tuple[bool, int, bool, Rank]:
    """Return the key of a finding's place: what was dismissed last; of one severity what was accepted first."""
    kind, usual = kind_of(finding, repository), rank(finding)
    return kind in verdicts.dismissed, usual[0], kind not in verdicts.accepted, usual


async def recalled(repository: str, ctx: Context) -> Verdicts:
    """Return what people said of the kinds of this repository, as far as it is remembered."""
    where = {"about": repository[:NAME_MOST], "kind": "finding"}
    found = await ctx.recall(f"kinds of findings in {repository}", KINDS_MOST, worked=True, where=where)
    return Verdicts(
        accepted=frozenset(map(_name, found.episodes)),
        dismissed={_name(each): each.why for each in found.warnings},
    )


def _name(found: Recalled) -> str:
    return found.episode.evidence[0]


async def remember(findings: Iterable[Finding], repository: str, ctx: Context) -> None:
    """Remember which kinds were reported, so that an outcome finds them."""
    kinds = {kind_of(finding, repository): finding for finding in findings}
    for kind, finding in sorted(kinds.items()):
        episode = Episode(
            situation=f"{finding.tool} reports {finding.rule} in {repository}", action="listed in a review",
            about=repository[:NAME_MOST], source="review", labels={"kind": "finding"}, evidence=(kind,),
        )  # fmt: skip
        await ctx.remember(episode)


def note_of(verdicts: Verdicts) -> tuple[str, ...]:
    """Return what a report says of them."""
    if not verdicts.dismissed:
        return ()
    said = [f"{kind}{f' ({why})' if why else ''}" for kind, why in sorted(verdicts.dismissed.items())]
    return (f"dismissed before, and so last: {', '.join(said)}",)
