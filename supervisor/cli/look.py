"""``ps``, ``events`` and ``doctor``: what is, what was, and what would be wrong."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .dates import when
from .exits import plain, run
from .main import as_json, where

if TYPE_CHECKING:
    from ..messages import Actors, EventList

_COLOURS = {
    "running": "green", "waiting": "green", "held": "red", "silent": "red", "stalled": "red", "restarting": "yellow",
    "starting": "yellow",
}  # fmt: skip


@click.command()
@as_json
@where
def ps(fleet: str, state: Path | None, *, as_json: bool) -> None:
    """Show who lives where, and how well."""
    import msgspec

    async def work() -> "Actors":
        from ..client import Client
        from ..messages import ListActors
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            return await client.ask(Supervisor.actors, ListActors(), timeout=10.0)

    found = run(work)
    if as_json:
        click.echo(msgspec.json.encode(found.rows).decode())
    else:
        _print_actors(found)


def _print_actors(found: "Actors") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"fleet {found.fleet}", title_justify="left", box=None, pad_edge=False)
    for name in ("actor", "state", "cell", "pid", "up", "waiting", "in hand", "handled", "failed", "restarts"):
        left = name in ("actor", "state", "cell", "in hand")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "in hand", overflow="fold")
    for row in found.rows:
        doing = f", {row.doing}" if row.doing else ""
        hand = f"{', '.join(row.in_hand)} for {row.in_hand_for:.1f} s{doing}" if row.in_hand else ""
        colour = _COLOURS.get(row.state, "default")
        table.add_row(
            row.actor, f"[{colour}]{row.state}[/]", row.cell, str(row.pid or ""), f"{row.up_for:.0f} s",
            str(row.depth), escape(plain(hand)), str(row.handled), str(row.failed), str(row.restarts),
        )  # fmt: skip
    Console().print(table)


@click.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many, the newest.")
@click.option("--kind", default="", help="Only this kind, such as cell-exited.")
@click.option("--of", "subject", default="", help="Only of this actor or cell.")
@as_json
@where
def events(fleet: str, state: Path | None, *, limit: int, kind: str, subject: str, as_json: bool) -> None:
    """Show what the supervisor saw and did."""
    import msgspec

    async def work() -> "EventList":
        from ..client import Client
        from ..messages import ListEvents
        from ..service import Supervisor

        async with Client.connect(fleet, state=state) as client:
            query = ListEvents(limit=limit, kind=kind, subject=subject)
            return await client.ask(Supervisor.events, query, timeout=10.0)

    found = run(work)
    if as_json:
        click.echo(msgspec.json.encode(found.events).decode())
        return
    for event in found.events:
        said = f"  [said by {cell}]" if (cell := event.detail.get("cell")) not in (None, event.subject) else ""
        click.echo(plain(f"{when(event.at)}  {event.kind:<16}  {event.subject}: {event.text}{said}"))


@click.command()
@click.argument("fleet_file", metavar="[FLEET.toml]", default="fleet.toml", type=click.Path(path_type=Path))
@click.option("--nats-server", "binary", type=click.Path(path_type=Path), help="The nats-server that would be used.")
@click.option("--unit", "as_unit", is_flag=True, help="Print a systemd unit for FLEET.toml instead.")
@as_json
def doctor(fleet_file: Path, binary: Path | None, *, as_unit: bool, as_json: bool) -> None:
    """Say what is wrong with this machine's set-up."""
    import msgspec

    from ..doctor import examine

    if as_unit:
        _print_unit(fleet_file, binary)
        return
    findings = examine(binary, fleet_file=fleet_file)
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}: {finding.text}")
    sys.exit(0 if all(finding.ok for finding in findings) else 2)


def _print_unit(fleet_file: Path, binary: Path | None) -> None:
    import getpass
    import os

    from callboard.errors import CallboardError

    from ..config import load_fleet
    from ..state import VARIABLE
    from ..unit import Setting, unit
    from .exits import fail

    try:
        config = load_fleet(fleet_file)
    except CallboardError as error:
        fail(error)
    state, path = os.environ.get(VARIABLE), os.environ.get("PYTHONPATH")
    setting = Setting(
        fleet_file=str(fleet_file.absolute()), python=sys.executable,
        state=str(Path(state).absolute()) if state else "", server=str(binary.absolute()) if binary else "",
        path=os.pathsep.join(str(Path(part).absolute()) for part in path.split(os.pathsep) if part) if path else "",
        user=getpass.getuser() if os.geteuid() else "",
    )  # fmt: skip
    click.echo(unit(config, setting), nl=False)
