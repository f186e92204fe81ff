"""``cost``: what models did cost, by whom, and what would save money."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .asking import asked
from .exits import plain, run
from .main import as_json, where

if TYPE_CHECKING:
    from ..office.messages import Costs, ShowCosts

_UNITS: Final = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}
LONGEST: Final = 5


class Since(click.ParamType[float]):
    """A length of time before now, or a date."""

    name = "since"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return Unix seconds."""
        text = str(value)
        try:
            if text[-1:] in _UNITS:
                return time.time() - float(text[:-1]) * _UNITS[text[-1]]
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time: write 90m, 24h, 7d, 2026-12-31 or 2026-12-31T18:00+01:00", param, ctx)


@click.command()
@click.option("--by", type=click.Choice(["actor", "model", "day", "prompt"]), help="One line for each; days in UTC.")
@click.option("--since", type=Since(), default=None, help="90m, 24h, 7d, or a date in UTC; default: all that is known.")
@click.option(
    "--as", "as_model", default="", metavar="MODEL", help="What the same tokens would cost with another model."
)
@as_json
@where
def cost(by: str | None, since: float | None, as_model: str, fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Show what models cost, and how the budgets stand.

    And which prompts are the longest; also of a fleet that is down.
    """
    import msgspec

    from ..office.messages import Costs, ShowCosts
    from .cost_lines import lines_of

    request = ShowCosts(by=by or "", since=since or 0.0, longest=LONGEST, as_model=as_model)  # type: ignore[arg-type]  # one of the choices
    folder = _at_rest(fleet, state)
    found = asked(request, Costs, fleet, state) if folder is None else run(lambda: _read(folder, request))
    click.echo(msgspec.json.encode(found).decode() if as_json else plain("\n".join(lines_of(found, as_model=as_model))))


def _at_rest(fleet: str, state: Path | None) -> Path | None:
    """Return the folder of a fleet that asked models and does not run now."""
    from ..errors import NoSuchDaemon
    from ..state import find_daemon, find_rest

    try:
        find_daemon(fleet=fleet, state=state)
    except NoSuchDaemon:
        return find_rest("office.db", fleet=fleet, state=state)
    return None


async def _read(folder: Path, request: "ShowCosts") -> "Costs":
    from callboard.store.office import open_ledger

    from ..office.books import costs_of

    async with open_ledger(folder) as ledger:
        return await costs_of(ledger, request, now=time.time(), prices={})
