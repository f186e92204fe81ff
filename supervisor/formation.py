"""Who goes down with whom: the ``[[group]]`` and ``[[cell]]`` tables of a fleet file, and the plans they mean."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec

from callboard.actors import Intensity
from callboard.errors import CallboardError
from callboard.names import checked

from .plan import Child, Plan, Strategy
from .toml_lines import Fault


class GroupTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[group]]``: cells that belong together."""

    name: str
    cells: Annotated[list[str], msgspec.Meta(min_length=1)]
    """In the order in which they start."""
    strategy: Strategy = "one_for_one"
    intensity: Intensity | None = None
    """The budget of the group, beside those of its cells."""


class CellTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[cell]]``: how the actors of one cell belong together. They start in the order of the file."""

    name: str
    strategy: Strategy = "one_for_one"
    intensity: Intensity | None = None
    """The budget of the cell's actors together, beside those of each."""
    escalate: bool = False
    """A spent budget ends the process, which is a crash of the cell, instead of holding."""


LOOSE: Final = Plan(top=True, together=True)
"""For those that no table names: each has its own budget, and nobody waits for anybody."""


def plan_of(table: GroupTable | CellTable | None, children: Sequence[Child]) -> Plan:
    """Return the plan of a group of cells, or of the actors of one cell.

    Where others go down with one that crashed they need it, so one that is held for good takes its group along.
    """
    if table is None:
        return msgspec.structs.replace(LOOSE, children=tuple(children))
    escalates = isinstance(table, CellTable) and table.escalate
    return Plan(
        children=tuple(children), strategy=table.strategy, intensity=table.intensity, top=not escalates,
        on_spent="escalate" if escalates or table.strategy != "one_for_one" else "hold",
    )  # fmt: skip


def check_formation(groups: Sequence[GroupTable], cells: Sequence[CellTable], known: Mapping[str, object]) -> None:
    """Check both kinds of tables against the cells that there are; raise a Fault with the place of the first."""
    seen: dict[str, str] = {}
    for index, group in enumerate(groups):
        at = f"$.group[{index}]"
        try:
            checked(group.name, "group")
        except CallboardError as error:
            raise Fault(error.text, f"{at}.name") from error
        if group.name in [other.name for other in groups[:index]]:
            raise Fault(f"two groups are named {group.name!r}: give each a name of its own", f"{at}.name")
        for cell in group.cells:
            _check_member(cell, group.name, seen, known, f"{at}.cells")
        if len(group.cells) == 1 and group.strategy != "one_for_one":
            raise Fault(
                f"{group.strategy!r} with one cell, {group.cells[0]!r}: name at least two, or use 'one_for_one'",
                f"{at}.strategy",
            )
    for index, table in enumerate(cells):
        _check_known(table.name, known, f"$.cell[{index}].name")
        if table.name in [other.name for other in cells[:index]]:
            raise Fault(f"two [[cell]] tables are named {table.name!r}: one is enough", f"$.cell[{index}].name")


def _check_member(cell: str, group: str, seen: dict[str, str], known: Mapping[str, object], at: str) -> None:
    _check_known(cell, known, at)
    if (other := seen.get(cell)) is not None:
        place = "twice in this group" if other == group else f"in group {other!r} already"
        raise Fault(f"cell {cell!r} is {place}: a cell is in one group, once", at)
    seen[cell] = group


def _check_known(cell: str, known: Mapping[str, object], at: str) -> None:
    if cell not in known:
        raise Fault(f"no cell is named {cell!r}: {', '.join(sorted(known))}", at)
