"""``check``: whether a fleet file is sound, and who can reach whom by it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .main import as_json

if TYPE_CHECKING:
    from callboard.actors import ActorSpec

    from ..reach import Edge


@click.command()
@click.argument("fleet_file", metavar="FLEET.toml", type=click.Path(path_type=Path))
@click.option("--graph", type=click.Path(path_type=Path), help="Write who can reach whom to this file, as SVG.")
@as_json
def check(fleet_file: Path, *, graph: Path | None, as_json: bool) -> None:
    """Check a fleet file, and show who can reach whom.

    Whole, without running it: also what models will cost.
    """
    import msgspec

    from callboard.errors import CallboardError

    from ..config import load_fleet
    from ..office.outlook import outlook_of
    from ..reach import edges_of, leaving, warnings_of
    from ..reach_picture import picture
    from .exits import fail

    try:
        config = load_fleet(fleet_file)
    except CallboardError as error:
        fail(error)
    edges, warnings = edges_of(config.agents), [str(junction) for junction in warnings_of(config.agents)]
    warnings += leaving(config.agents, config.memory)
    outlook = outlook_of(config.llm)
    if graph is not None:
        graph.write_text(picture(config.name, config.agents), encoding="utf-8")
    if as_json:
        rows = [_row(spec) for spec in config.agents]
        found = {"fleet": config.name, "actors": rows, "edges": edges, "models": outlook, "warnings": warnings}
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(f"{fleet_file}: fleet {config.name}, {len(config.agents)} actors in {len(config.cells)} cells")
    _print(config.agents, edges)
    for line in outlook:
        click.echo(line)
    for warning in warnings:
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    if graph is not None:
        click.echo(f"who can reach whom is drawn in {graph}")


def _row(spec: "ActorSpec") -> dict[str, Any]:
    from callboard.actors import VERBS

    may = {verb: list(names) for verb in VERBS if (names := getattr(spec.may, verb))}
    return {
        "actor": spec.name, "cell": spec.cell, "replicas": spec.replicas, "open": spec.open, "private": spec.private,
        "may": may, "hears": list(spec.heard),
    }  # fmt: skip


def _print(specs: "tuple[ActorSpec, ...]", edges: "list[Edge]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("actor", "cell", "reached by", "may reach", "publishes", "hears", "does"):
        table.add_column(name, overflow="fold")
    for spec in specs:
        by = sorted({edge.source for edge in edges if edge.target == spec.name})
        mine = [edge for edge in edges if edge.source == spec.name and edge.way != "publish"]
        spoken = [f"{edge.way} {edge.terms or edge.target}" for edge in mine]
        cells = [spec.name, spec.cell, *(", ".join(each) or "-" for each in (
            by, spoken, spec.may.publish, spec.heard, spec.may.act,
        ))]  # fmt: skip
        table.add_row(*map(escape, cells))
    Console().print(table)
